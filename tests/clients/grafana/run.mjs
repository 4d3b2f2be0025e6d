// Drives Grafana's own Prometheus data source, the npm package, against a promenade demo server:
// `npm ci --legacy-peer-deps --ignore-scripts && node run.mjs PATH/TO/promenade [--requests]`.
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { load } from "./bundle.mjs";
import { Proxy } from "./proxy.mjs";
import { steps } from "./steps.mjs";

const [binary, ...flags] = process.argv.slice(2);
if (!binary) {
  console.error("usage: node run.mjs PATH/TO/promenade [--requests]");
  process.exit(2);
}

/** Starts a demo and waits until it says where it answers and to which token. */
async function demo(dir) {
  const args = ["demo", "--listen", "127.0.0.1:0", "--hours", "0.5", "--nodes", "2", "--data-dir", path.join(dir, "data")];
  const child = spawn(binary, args, { stdio: ["ignore", "pipe", "inherit"] });
  let [token, base] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    token ??= line.match(/^project acme-chat +token (\S+)/)?.[1];
    base ??= line.match(/^Grafana, Prometheus server URL +(\S+)/)?.[1];
    if (line.startsWith("New samples arrive")) return { child, token, base };
  }
  throw new Error("the demo ended");
}

/** Waits until each of the last minutes of the demo has all its samples. */
async function settled(proxy) {
  for (let tries = 0; tries < 60; tries++) {
    const at = Math.floor(Date.now() / 1000 / 15) * 15 - 30;
    const { data } = await proxy.send("GET", "api/v1/query", { query: "min(count_over_time(up[10m])) >= 39", time: at });
    if (data.data.result.length) return;
    await new Promise((done) => setTimeout(done, 1000));
  }
  throw new Error("the demo has no ten minutes of samples");
}

const dir = await mkdtemp(path.join(os.tmpdir(), "promenade-grafana-"));
let server;
try {
  const grafana = await load(dir);
  server = await demo(dir);
  const proxy = new Proxy(server.base, server.token);
  await settled(proxy);
  grafana.setBackendSrv({ fetch: (options) => grafana.rxjs.defer(() => proxy.answer(options)) });
  grafana.setTemplateSrv({
    replace: (text, scoped) =>
      (text ?? "").replace(/\$(__\w+)/g, (whole, name) => (name in (scoped ?? {}) ? scoped[name].value : whole)),
    containsTemplate: () => false,
    getVariables: () => [],
    updateTimeRange: () => {},
  });
  const settings = (jsonData) => ({
    id: 1, uid: "promenade", name: "promenade", type: "prometheus", access: "proxy", url: "/api/datasources/proxy/uid/promenade",
    meta: { id: "prometheus", info: { version: "13.1.4" } }, readOnly: false,
    jsonData: { httpMethod: "POST", timeInterval: "15s", cacheLevel: "None", ...jsonData },
  });
  grafana.setDataSourceSrv({ getInstanceSettings: () => settings({}) });
  let failed = 0;
  for (const [name, step] of steps({ grafana, proxy, settings })) {
    try {
      console.log(`ok    ${name}: ${await step()}`);
    } catch (error) {
      failed += 1;
      console.log(`FAIL  ${name}: ${error.stack}`);
    }
  }
  const refused = proxy.requests.filter((line) => !line.startsWith("200"));
  console.log(`${failed} failed; ${proxy.requests.length} requests, ${refused.length} of them refused`);
  if (flags.includes("--requests")) proxy.requests.forEach((line) => console.log(line));
  process.exitCode = failed ? 1 : 0;
} finally {
  server?.child.kill("SIGINT");
  await new Promise((done) => (server ? server.child.once("exit", done) : done()));
  await rm(dir, { recursive: true, force: true });
}
