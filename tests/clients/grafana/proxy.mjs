// Does what Grafana's server does between its data source in the browser and a Prometheus: it passes resource calls on,
// turns panels' queries into the HTTP API's and the answers into frames, and checks the health.

/** A refusal as the browser's side knows it. */
function refusal(status, data) {
  return Object.assign(new Error(data?.error ?? `status ${status}`), { status, statusText: "", data, config: {} });
}

export class Proxy {
  /** Requests passed on, one line each. */
  requests = [];

  constructor(base, token) {
    this.base = base;
    this.token = token;
  }

  /** One request to the server under test: its status and its JSON. */
  async send(method, path, params) {
    const form = new URLSearchParams(params);
    const query = method === "GET" && form.size ? `?${form}` : "";
    const response = await fetch(`${this.base}/${path}${query}`, {
      method,
      redirect: "error",
      headers: {
        Authorization: `Bearer ${this.token}`,
        ...(method === "POST" ? { "Content-Type": "application/x-www-form-urlencoded" } : {}),
      },
      body: method === "POST" ? form.toString() : undefined,
    });
    this.requests.push(`${response.status} ${method} /${path} ${form}`);
    const text = await response.text();
    const type = response.headers.get("content-type");
    if (type !== "application/json") throw refusal(response.status, { error: `content type ${type}: ${text}` });
    return { status: response.status, data: JSON.parse(text) };
  }

  /** What the data source in the browser asks of Grafana. */
  async answer({ url, method = "GET", data, params }) {
    const { pathname, searchParams } = new URL(url, "http://grafana.example");
    const resource = pathname.match(/^\/api\/datasources\/uid\/[^/]+\/resources\/(.+)$/);
    if (resource) {
      const all = { ...Object.fromEntries(searchParams), ...params, ...data };
      const answer = await this.send(method, resource[1], all);
      if (answer.status !== 200) throw refusal(answer.status, answer.data);
      return answer;
    }
    if (pathname.endsWith("/health")) return { status: 200, data: await this.health() };
    if (pathname === "/api/ds/query") return { status: 200, data: await this.query(data) };
    throw refusal(404, { error: `nothing at ${pathname}` });
  }

  /** "Save & test". */
  async health() {
    const { status, data } = await this.send("POST", "api/v1/query", { query: "1+1", time: "4" });
    if (status !== 200 || data.status !== "success") {
      return { status: "ERROR", message: `${status} - There was an error returned querying the Prometheus API.` };
    }
    return { status: "OK", message: "Successfully queried the Prometheus API.", details: await this.kind() };
  }

  /** What the build information tells: a server without features is a Prometheus, any other a Mimir. */
  async kind() {
    const { data } = (await this.send("GET", "api/v1/status/buildinfo", {})).data;
    for (const [key, value] of Object.entries(data)) {
      if (typeof value !== "string") throw new Error(`buildinfo: ${key} is ${typeof value}`);
    }
    return { application: "features" in data ? "Mimir" : "Prometheus", version: data.version };
  }

  async query({ queries, from, to }) {
    const answers = await Promise.all(queries.map((query) => this.panel(query, Number(from), Number(to))));
    return { results: Object.fromEntries(answers) };
  }

  async panel(query, from, to) {
    const interval = Math.max(seconds(query.interval || "15s"), query.intervalMs / 1000);
    const rate = Math.max(interval + 15, 60);
    const expr = query.expr
      .replaceAll("$__rate_interval", `${Math.floor(rate / 60)}m${rate % 60}s`)
      .replaceAll("$__interval", `${interval}s`)
      .replaceAll("$__range", `${Math.round((to - from) / 1000)}s`);
    const aligned = (ms) => Math.floor(ms / 1000 / interval) * interval;
    const { status, data } = query.instant
      ? await this.send("POST", "api/v1/query", { query: expr, time: to / 1000 })
      : await this.send("POST", "api/v1/query_range", { query: expr, start: aligned(from), end: aligned(to), step: interval });
    if (status !== 200) return [query.refId, { status, error: `${data.errorType}: ${data.error}`, frames: [] }];
    const frames = data.data.result.map((series) => frame(query.refId, data.data.resultType, series));
    if (query.exemplar) {
      await this.send("POST", "api/v1/query_exemplars", { query: expr, start: aligned(from), end: aligned(to) });
    }
    return [query.refId, { status: 200, frames }];
  }
}

function seconds(text) {
  const [, number, unit] = text.match(/^(\d+)(s|m|h)$/);
  return Number(number) * { s: 1, m: 60, h: 3600 }[unit];
}

/** One series as Grafana's server hands it to the browser. */
function frame(refId, resultType, { metric, values, value }) {
  const samples = (values ?? [value]).map(([t, v]) => {
    if (typeof t !== "number" || typeof v !== "string") throw new Error(`not a sample: ${JSON.stringify([t, v])}`);
    return [Math.round(t * 1000), Number(v.replace("Inf", "Infinity"))];
  });
  const fields = [
    { name: "Time", type: "time", typeInfo: { frame: "time.Time" }, config: { interval: 15000 } },
    { name: metric.__name__ ?? "Value", type: "number", typeInfo: { frame: "float64" }, labels: metric, config: {} },
  ];
  const type = resultType === "matrix" ? "timeseries-multi" : "numeric-multi";
  return {
    schema: { refId, meta: { type, typeVersion: [0, 1], custom: { resultType } }, fields },
    data: { values: [samples.map(([t]) => t), samples.map(([, v]) => v)] },
  };
}
