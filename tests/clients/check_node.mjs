// Calls every function of the documents' JavaScript code and compares what it returns with what was measured.
//
//     node tests/clients/check_node.mjs HOST TOKEN
//
// HOST holds a demo's fleet to which nothing is added any more. Prints one JSON object: the figure that each function
// reports, by the function's name. Anything that differs is an error.

import assert from "node:assert";

import * as reports from "./endpoint_reports.mjs";
import { Measured, near } from "./measured.mjs";
import { Client } from "./tensorone.mjs";

const [host, token] = process.argv.slice(2);
const client = new Client({ host, apiKey: token });
const measured = new Measured(host, token);

const of = (name, endpoint, more = "") => `${name}{endpoint_id="${endpoint}"${more}}`;
const OK = ',status_code=~"[23].."';

async function checkEndpointMetrics(endpoint) {
  const out = [];
  const metrics = await reports.getEndpointMetrics(client, out, endpoint);
  const [start, end] = [Date.parse(metrics.start), Date.parse(metrics.end)];
  const whole = (name, more) => measured.gain(of(name, endpoint, more), start, end);
  const total = await whole("inference_requests_total");
  near("executions", metrics.summary.totalExecutions, total, 0);
  near("success", metrics.summary.successRate, (100 * (await whole("inference_requests_total", OK))) / total, 2);
  const seconds = await whole("inference_request_duration_seconds_sum");
  const n = await whole("inference_request_duration_seconds_count");
  near("latency", metrics.summary.averageLatency, seconds / n, 3);
  near("cost", metrics.summary.totalCost, await whole("inference_cost_usd_total"), 2);
  assert.equal(out[1], `executions ${Math.round(total)}`);
  return metrics.summary.totalExecutions;
}

// Stands for the page's canvases and for the library that draws on them.
class Chart {
  constructor(canvas, config) {
    Object.assign(this, { canvas, data: config.data, type: config.type, updates: 0 });
  }

  update() {
    this.updates += 1;
  }
}

async function checkDashboard(endpoint) {
  const canvases = [];
  const page = { canvas: (id) => (canvases.push(id), { id }) };
  const dashboard = new reports.MetricsDashboard(client, endpoint, page, Chart);
  dashboard.createCharts();
  assert.deepEqual(canvases, ["latency-chart", "cost-chart", "gpu-chart"]);
  await dashboard.startRealTimeUpdates(1000);
  const deadline = Date.now() + 60000;
  while (dashboard.charts.gpu.updates < 3 && Date.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  dashboard.stop();
  assert.deepEqual(dashboard.errors, []);
  const { latency, cost, gpu } = dashboard.charts;
  assert.ok(latency.updates >= 3 && cost.updates >= 3 && gpu.updates >= 3);
  const times = latency.data.labels.map(Date.parse);
  assert.equal(times.length, 12);
  const [start, end] = [times[0], times[11] + 300000];
  const gains = (name) => measured.gains(of(`inference_request_duration_seconds_${name}`, endpoint), start, end, 300000);
  const [sums, counts] = [await gains("sum"), await gains("count")];
  for (const [n, mean] of latency.data.datasets[0].data.entries()) {
    if (counts[n] === 0) assert.equal(mean, null);
    else near(latency.data.labels[n], mean, sums[n] / counts[n], 3);
  }
  for (const [n, category] of cost.data.labels.entries()) {
    const more = `,category="${category}"`;
    const usd = await measured.gain(of("inference_cost_usd_total", endpoint, more), start, end);
    near(category, cost.data.datasets[0].data[n], usd, 1.5);
  }
  const [used, free] = gpu.data.datasets[0].data;
  near("GPUs", used, await measured.mean(of("DCGM_FI_DEV_GPU_UTIL", endpoint), start, end), 1);
  assert.equal(used + free, 100);
  return used;
}

async function checkCosts(endpoint) {
  const out = [];
  const { costs, analysis } = await reports.analyzeCostOptimization(client, out, endpoint);
  const now = Date.now();
  const total = await measured.gain(of("inference_cost_usd_total", endpoint), now - 30 * 86400000, now);
  assert.ok(total > 0, "nothing was recorded");
  near("costs", costs.total, total, 2);
  assert.ok(analysis.length > 0, "nothing could be better");
  const savings = analysis.reduce((sum, item) => sum + item.savings, 0);
  near("savings", savings, costs.optimization.potentialSavings, 6);
  for (const item of analysis) {
    near("roi", item.roi, (100 * item.savings) / total, 1);
    assert.equal(item.monthlyImpact, 12 * item.savings);
  }
  assert.equal(out.length, 2 + 2 * analysis.length);
  return costs.total;
}

async function checkAlerting(endpoints) {
  const errors = {};
  for (const endpoint of endpoints) {
    const { summary } = await client.getMetrics(endpoint, { timeframe: "1h" });
    errors[endpoint] = 100 - summary.successRate;
  }
  // Half of the endpoints are above what lies in the middle.
  const sorted = Object.values(errors).sort((a, b) => a - b);
  const middle = (sorted[Math.floor((sorted.length - 1) / 2)] + sorted.at(-1)) / 2;
  const thresholds = { maxLatency: 1e9, minSuccessRate: 0, maxErrorRate: middle, maxCostIncrease: 1e9 };
  const ids = [...endpoints, "ep_nobody"];
  const alerting = new reports.PerformanceAlerting(client, ids, thresholds);
  const alerts = await alerting.checkAlerts();
  const told = alerts.filter((alert) => alert.severity === "warning").map((alert) => alert.endpointId);
  assert.deepEqual(told, endpoints.filter((endpoint) => errors[endpoint] > middle));
  assert.ok(told.length < endpoints.length, told);
  const failed = alerts.filter((alert) => alert.severity === "error");
  assert.deepEqual(failed.map((alert) => alert.endpointId), ["ep_nobody"]);
  assert.match(failed[0].message, /^no metrics: 404/);
  const out = [];
  alerting.sendNotifications(out);
  assert.equal(out.length, alerts.length + new Set(alerts.map((alert) => alert.severity)).size);
  // With limits that everything passes each endpoint has every alert that needs no history.
  const strict = { maxLatency: 0, minSuccessRate: 101, maxErrorRate: -1 };
  const all = await new reports.PerformanceAlerting(client, endpoints, strict).checkAlerts();
  assert.equal(all.filter((alert) => !alert.message.startsWith("costs")).length, 3 * endpoints.length);
  return Object.values(errors);
}

async function checkPerformance() {
  const metrics = ["cpu_utilization", "gpu_utilization", "memory_utilization"];
  const options = { resource: "clusters", timeRange: "6h", granularity: "15m", metrics };
  const data = await reports.getPerformanceMetrics(client, options);
  const [start, end] = [Date.parse(data.timeRange.start), Date.parse(data.timeRange.end)];
  const total = await measured.gain("inference_requests_total", start, end);
  near("throughput", data.overall.totalThroughput, total / 21600, 1);
  assert.deepEqual(Object.keys(data.resources[0].timeSeries.at(-1).values).sort(), metrics.sort());
  const cpu = 'avg_over_time((100 * (1 - avg by (cluster_id) (rate(node_cpu_seconds_total{mode="idle"}[5m]))))[1m:1m])';
  const used = await measured.by("cluster_id", cpu, end);
  for (const { resourceId, metrics } of data.resources) near("CPU", metrics.cpu.current, used[resourceId], 1);
  // Nothing is full in the demo, unless what was measured says so; a platform that is, is told of.
  const full = data.resources.filter(({ metrics: { cpu, memory, gpu } }) =>
    [cpu.current > 80, memory.current > 85, gpu.current > 95].includes(true));
  assert.deepEqual(reports.findBottlenecks(data).map(([name]) => name), full.map((one) => one.resourceName));
  data.resources[0].metrics.cpu.current = 99;
  delete data.resources[0].metrics.gpu;
  assert.ok(reports.findBottlenecks(data).some(([, issues]) => issues.includes("cpu 99 %")));
  return used;
}

const now = Date.now();
const endpoints = Object.keys(await measured.by("endpoint_id", "group by (endpoint_id) (inference_replicas_target)", now));
endpoints.sort();
const starts = await measured.by("endpoint_id", "inference_cold_starts_total", now);
const busiest = endpoints.reduce((best, endpoint) => (starts[endpoint] > starts[best] ? endpoint : best));
await assert.rejects(new Client({ host, apiKey: `${token}x` }).getMetrics(busiest), { status: 401 });
const figures = {
  // What needs the last minutes comes first.
  getPerformanceMetrics: await checkPerformance(),
  MetricsDashboard: await checkDashboard(busiest),
  getEndpointMetrics: await checkEndpointMetrics(busiest),
  analyzeCostOptimization: await checkCosts(busiest),
  PerformanceAlerting: await checkAlerting(endpoints),
};
console.log(JSON.stringify(figures));
