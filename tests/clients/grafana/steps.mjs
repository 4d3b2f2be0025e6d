// What is asked through the data source, and what must come of it: the demo's first project has one GPU node and three
// engines or some more, each scraped every 15 seconds.
import assert from "node:assert/strict";

const JOBS = ["dcgm-exporter", "node-exporter", "vllm"];
const MODELS = ["Qwen/Qwen3-32B", "meta-llama/Llama-3.3-70B-Instruct", "openai/gpt-oss-20b"];
const TTFT = "vllm:time_to_first_token_seconds";

const texts = (found) => found.map(({ text }) => text).sort();

/** Times and values of a frame. */
function samples({ fields }) {
  const [time, value] = ["time", "number"].map((type) => fields.find((field) => field.type === type));
  return { times: Array.from(time.values), values: Array.from(value.values), labels: value.labels ?? {} };
}

export function steps({ grafana, proxy, settings }) {
  const { PrometheusDatasource, dateTime, rxjs } = grafana;
  const range = (from, to) => {
    const [start, end] = [from, to].map((s) => dateTime(s * 1000));
    return { from: start, to: end, raw: { from: start, to: end } };
  };
  const source = (jsonData = {}) => new PrometheusDatasource(settings(jsonData));
  const now = Math.floor(Date.now() / 1000 / 15) * 15 - 30;
  const recent = range(now - 600, now);
  const ask = (datasource, targets, over = recent) => {
    const all = targets.map((target, at) => ({ refId: "ABC"[at], range: !target.instant, ...target }));
    const of = all.map((target) => ({ ...target, datasource: datasource.getRef() }));
    const request = { requestId: "Q1", app: "dashboard", panelId: 1, timezone: "utc", interval: "15s", intervalMs: 15000 };
    const rest = { maxDataPoints: 1000, scopedVars: {}, range: over, rangeRaw: over.raw, startTime: Date.now(), filters: [] };
    return rxjs.lastValueFrom(datasource.query({ ...request, ...rest, targets: of }));
  };
  const main = source();
  const language = main.languageProvider;

  return [
    ["health check", async () => {
      const health = await main.testDatasource();
      assert.deepEqual(health, { status: "success", message: "Successfully queried the Prometheus API." });
      return health.message;
    }],
    ["what the build information tells of features", async () => {
      const { application, version } = await proxy.kind();
      assert.equal(application, "Prometheus");
      assert.match(version, /^3\.\d+\.\d+$/);
      const as = (prometheusVersion) => source({ prometheusType: application, prometheusVersion });
      assert.equal(as(version).hasLabelsMatchAPISupport(), true);
      assert.equal(as("2.20.0").hasLabelsMatchAPISupport(), false, "it does look at the version");
      return `${application} ${version}, labels can be matched`;
    }],
    ["start of the data source", async () => {
      await main.init();
      assert.equal(main.exemplarsAvailable, true);
      assert.deepEqual(main.ruleMappings, {});
      assert.ok(proxy.requests.some((line) => line.startsWith("200 GET /api/v1/rules")), "it asked for rules");
      return "exemplars are available, no rules";
    }],
    ["metric names, label names and metadata", async () => {
      await language.start(recent);
      const [metrics, histograms, labels] =
        [language.retrieveMetrics(), language.retrieveHistogramMetrics(), language.retrieveLabelKeys()];
      for (const name of ["up", "DCGM_FI_DEV_GPU_UTIL", "node_load15", `${TTFT}_count`]) assert.ok(metrics.includes(name), name);
      assert.ok(histograms.includes(`${TTFT}_bucket`) && histograms.every((name) => name.endsWith("_bucket")));
      for (const name of ["Hostname", "__name__", "job", "le", "model_name"]) assert.ok(labels.includes(name), name);
      const metadata = language.retrieveMetricsMetadata();
      assert.deepEqual(metadata.node_load15, { type: "gauge", help: "15m load average.", unit: "" });
      assert.equal(metadata[TTFT].type, "histogram");
      // Derived by the data source from the histogram's.
      assert.equal(metadata[`${TTFT}_bucket`].type, "counter");
      assert.ok(100 < metrics.length && 50 < Object.keys(metadata).length);
      return `${metrics.length} metrics, ${histograms.length} histograms, ${labels.length} labels, ` +
        `metadata of ${Object.keys(metadata).length}`;
    }],
    ["ad hoc filters", async () => {
      const filters = [{ key: "job", operator: "=", value: "dcgm-exporter" }];
      const keys = (await main.getTagKeys({ filters, timeRange: recent })).map(({ value }) => value);
      assert.ok(keys.includes("Hostname") && !keys.includes("le") && !keys.includes("job"), keys.join());
      const all = await main.getTagValues({ key: "job", filters: [], timeRange: recent });
      assert.deepEqual(texts(all), JOBS);
      const models = await main.getTagValues({ key: "model_name", filters: [{ ...filters[0], value: "vllm" }], timeRange: recent });
      assert.deepEqual(texts(models), MODELS);
      return `${keys.length} labels of dcgm-exporter; jobs ${JOBS.join(", ")}`;
    }],
    ["variables", async () => {
      const find = (query) => main.metricFindQuery(query, { range: recent });
      assert.deepEqual(texts(await find("label_values(job)")), JOBS);
      assert.deepEqual(texts(await find('label_values(up{job="vllm"}, job)')), ["vllm"]);
      assert.deepEqual(texts(await find(`label_values(${TTFT}_count, model_name)`)), MODELS);
      assert.deepEqual(texts(await find("metrics(DCGM_FI_DEV_.*_UTIL)")), ["DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_MEM_COPY_UTIL"]);
      assert.ok(texts(await find("label_names()")).includes("model_name"));
      const names = texts(await find("label_names(node_load15)"));
      assert.ok(names.includes("instance") && !names.includes("model_name"), names.join());
      const results = texts(await find('query_result(count by (job) (up{job="vllm"}))'));
      assert.equal(results.length, 1);
      assert.match(results[0], /^\{job="vllm"\} [345] \d{13}$/);
      const series = texts(await find('up{job="vllm"}'));
      assert.ok(3 <= series.length, `${series.length} engines`);
      assert.ok(series.every((text) => text.startsWith("up{") && text.includes('job="vllm"')), series.join());
      assert.deepEqual(await find("label_values(up, http.status)").catch(() => []), [], "no such label");
      return `${series.length} series, such as ${series[0]}`;
    }],
    ["a range panel", async () => {
      const { data, errors } = await ask(main, [{ expr: "count by (job) (up)", exemplar: true }, { expr: "time() / 5 - 0.25" }]);
      assert.equal(errors, undefined);
      const found = data.filter(({ refId }) => refId === "A").map(samples);
      assert.deepEqual(found.map(({ labels }) => labels.job), JOBS, "sorted by labels");
      const times = Array.from({ length: 41 }, (_, at) => (now - 600 + at * 15) * 1000);
      for (const { times: its, values, labels } of found) {
        assert.deepEqual(its, times, "one value for each step");
        // A project has one node; engines come and go.
        assert.ok(values.every((value) => (labels.job === "vllm" ? 3 <= value && value <= 5 : value === 1)), `${values}`);
      }
      const clock = samples(data.find(({ refId }) => refId === "B"));
      assert.deepEqual(clock.values, times.map((t) => t / 1000 / 5 - 0.25), "to the last bit");
      return `${found.length} series of ${times.length} values`;
    }],
    ["a rate with $__rate_interval", async () => {
      const rates = await ask(main, [{ expr: "sum by (model_name) (rate(vllm:prompt_tokens_total[$__rate_interval]))" }]);
      const found = rates.data.map(samples);
      assert.deepEqual(found.map(({ labels }) => labels.model_name), MODELS);
      assert.ok(found.every(({ values }) => values.every((value) => 0 <= value && value < 1e6)));
      const sum = found.flatMap(({ values }) => values).reduce((a, b) => a + b);
      assert.ok(0 < sum);
      return `${(sum / 41).toFixed(1)} prompt tokens a second`;
    }],
    ["a table", async () => {
      const { data } = await ask(main, [{ expr: "sum by (job) (up)", instant: true, format: "table" }]);
      assert.equal(data.length, 1, "one table");
      const column = (name) => Array.from(data[0].fields.find((field) => field.name === name).values);
      assert.deepEqual(column("job"), JOBS);
      const [gpus, node, engines] = column("Value");
      assert.ok(gpus === 1 && node === 1 && 3 <= engines && engines <= 5, `${gpus} ${node} ${engines}`);
      assert.deepEqual(column("Time"), [now, now, now].map((s) => s * 1000));
      return `${data[0].fields.map((field) => field.name).join(" | ")}, ${engines} engines`;
    }],
    ["a heat map", async () => {
      const expr = `sum by (le) (increase(${TTFT}_bucket[5m]))`;
      const { data } = await ask(main, [{ expr, format: "heatmap", legendFormat: "{{le}}" }]);
      const [cells] = data;
      assert.equal(data.length, 1, "one heat map");
      const buckets = cells.fields.filter((field) => field.type === "number");
      const bounds = buckets.map((field) => Number(field.labels.le.replace("+Inf", "Infinity")));
      assert.ok(5 < bounds.length && bounds.every((bound, at) => at === 0 || bounds[at - 1] < bound), bounds.join());
      const total = buckets.flatMap((field) => Array.from(field.values)).reduce((a, b) => a + b);
      assert.ok(buckets.every((field) => Array.from(field.values).every((value) => value >= -1e-9)), "no bucket falls");
      assert.ok(0 < total);
      return `${bounds.length} buckets`;
    }],
    ["incremental queries", async () => {
      const [incremental, expr] = [source({ incrementalQuerying: true, incrementalQueryOverlapWindow: "2m" }), "sum by (job) (up) * time()"];
      const over = (shift) => {
        const of = range(now - 1200 + shift, now - 600 + shift);
        return { ...of, raw: { from: "now-10m", to: "now" } };
      };
      await ask(incremental, [{ expr }], over(0));
      const merged = await ask(incremental, [{ expr }], over(60));
      const asked = proxy.requests.at(-1);
      const whole = await ask(main, [{ expr }], over(60));
      const start = Number(new URLSearchParams(asked.split(" ")[3]).get("start"));
      assert.ok(now - 1140 < start, `only what is new was asked for: ${asked}`);
      // What was kept may begin a step earlier.
      const inside = (frame) => {
        const { times, values, labels } = samples(frame);
        const first = times.findIndex((t) => (now - 1140) * 1000 <= t);
        return { times: times.slice(first), values: values.slice(first), labels };
      };
      assert.equal(whole.data.length, JOBS.length);
      assert.deepEqual(merged.data.map(inside), whole.data.map(samples));
      return `asked for ${now - 540 - start} s instead of 600`;
    }],
    ["an error", async () => {
      const { data, errors, error } = await ask(main, [{ expr: "sum(up" }]);
      assert.equal(data.length, 0);
      const { message } = errors?.[0] ?? error;
      assert.match(message, /bad_data: .*1:\d+: parse error/);
      return message;
    }],
    ["hints", async () => {
      const hints = main.getQueryHints({ refId: "A", expr: "node_network_receive_packets_total" }, []);
      const types = hints.map(({ type }) => type);
      assert.ok(types.includes("APPLY_RATE"), `by the metadata it is a counter: ${types}`);
      return types.join();
    }],
    ["series in place of labels", async () => {
      const old = source({ seriesEndpoint: true });
      await old.languageProvider.start(recent);
      assert.deepEqual(old.languageProvider.retrieveMetrics(), [...language.retrieveMetrics()].sort());
      const values = await old.languageProvider.queryLabelValues(recent, "job", '{__name__="up"}');
      assert.deepEqual(values, JOBS);
      assert.ok(proxy.requests.some((line) => line.includes("/api/v1/series ")), "it asked for series");
      return `${old.languageProvider.retrieveMetrics().length} metrics`;
    }],
    ["a label name with a dot", async () => {
      const values = await language.queryLabelValues(recent, "http.status");
      assert.deepEqual(values, []);
      assert.ok(proxy.requests.at(-1).startsWith("200 GET /api/v1/label/U__http_2e_status/values"), proxy.requests.at(-1));
      return proxy.requests.at(-1).slice(0, 60);
    }],
  ];
}
