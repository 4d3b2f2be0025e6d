// Makes one CommonJS file of Grafana's data source and what it needs, and gives Node the globals of a browser.
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import path from "node:path";
import esbuild from "esbuild";
import { JSDOM } from "jsdom";

const here = path.dirname(fileURLToPath(import.meta.url));

// The browser's editor of queries has no use here, and does not load outside of one.
const withoutEditor = {
  name: "without-editor",
  setup(build) {
    build.onResolve({ filter: /^monaco-|\/MonacoQueryField/ }, ({ path: name }) => ({ path: name, namespace: "empty" }));
    build.onLoad({ filter: /.*/, namespace: "empty" }, () => ({ contents: "module.exports = {};" }));
  },
};

function browserGlobals() {
  const { window } = new JSDOM("<!doctype html><body></body>", { url: "http://grafana.example/", pretendToBeVisual: true });
  window.matchMedia = () => ({ matches: false, addListener() {}, addEventListener() {}, removeEventListener() {} });
  // Of what Node has as well, its own; but a window takes no other events than its own.
  const isTaken = (name) => !(name in globalThis) || ["Event", "CustomEvent", "EventTarget"].includes(name);
  for (const name of Object.getOwnPropertyNames(window).filter(isTaken)) {
    Object.defineProperty(globalThis, name, { configurable: true, get: () => window[name] });
  }
}

/** The exports of the packages that the steps use, loaded from a bundle written to `dir`. */
export async function load(dir) {
  const outfile = path.join(dir, "grafana.cjs");
  await esbuild.build({
    stdin: {
      // By `require`: the other entry of these packages imports defaults that are not there.
      contents: `module.exports = {
        ...require("@grafana/data"), ...require("@grafana/runtime"), ...require("@grafana/prometheus"), rxjs: require("rxjs") };`,
      resolveDir: here,
    },
    outfile,
    bundle: true,
    platform: "node",
    format: "cjs",
    mainFields: ["main", "module"],
    conditions: ["require", "node"],
    loader: { ".css": "empty", ".svg": "empty", ".png": "empty", ".woff": "empty", ".woff2": "empty", ".ttf": "empty" },
    plugins: [withoutEditor],
    logLevel: "error",
  });
  browserGlobals();
  return createRequire(import.meta.url)(outfile);
}
