// What TensorOne's documents do with metrics in JavaScript: reports, a dashboard of three charts, and alerts.
// Each asks through `client` and writes to `out`, a list of lines.

const ALL_GROUPS = ["performance", "usage", "costs", "resources"];

export async function getEndpointMetrics(client, out, endpointId, timeframe = "24h") {
  const metrics = await client.endpoints.getMetrics(endpointId, { timeframe, metrics: ALL_GROUPS });
  const { totalExecutions, successRate, averageLatency, totalCost } = metrics.summary;
  out.push(
    `endpoint ${endpointId} over ${timeframe}`,
    `executions ${totalExecutions}`,
    `success ${successRate.toFixed(2)} %`,
    `latency ${averageLatency.toFixed(2)} s`,
    `cost ${totalCost.toFixed(2)} USD`,
  );
  return metrics;
}

// Three charts of one endpoint; `Chart` draws on the canvases that `page` makes.
export class MetricsDashboard {
  constructor(client, endpointId, page, Chart) {
    Object.assign(this, { client, endpointId, page, Chart, charts: {}, errors: [] });
  }

  createCharts() {
    const chart = (name, type, labels, sets) =>
      (this.charts[name] = new this.Chart(this.page.canvas(`${name}-chart`), {
        type,
        data: { labels, datasets: sets.map((label) => ({ label, data: [] })) },
      }));
    chart("latency", "line", [], ["mean", "p95"]);
    chart("cost", "pie", ["compute", "storage", "network", "other"], ["USD"]);
    chart("gpu", "doughnut", ["used", "free"], ["percent"]);
  }

  async updateCharts() {
    try {
      const metrics = await this.client.endpoints.getMetrics(this.endpointId, {
        timeframe: "1h",
        granularity: "5m",
        metrics: ["performance", "costs", "resources"],
      });
      const points = metrics.performance?.latency?.timeSeries;
      if (points) {
        const { data } = this.charts.latency;
        data.labels = points.map((point) => new Date(point.timestamp).toISOString());
        data.datasets[0].data = points.map((point) => point.avg);
        data.datasets[1].data = points.map((point) => point.p95);
        this.charts.latency.update();
      }
      const parts = metrics.costs?.breakdown;
      if (parts) {
        const { data } = this.charts.cost;
        data.datasets[0].data = data.labels.map((name) => parts[name]);
        this.charts.cost.update();
      }
      const used = metrics.resources?.gpu?.utilization?.average;
      if (used !== undefined) {
        this.charts.gpu.data.datasets[0].data = [used, 100 - used];
        this.charts.gpu.update();
      }
    } catch (error) {
      this.errors.push(error);
    }
  }

  // Asks at once and then at each interval, until `stop`.
  startRealTimeUpdates(intervalMs = 30000) {
    this.timer = setInterval(() => this.updateCharts(), intervalMs);
    return this.updateCharts();
  }

  stop() {
    clearInterval(this.timer);
  }
}

export async function analyzeCostOptimization(client, out, endpointId, timeframe = "30d") {
  const { costs } = await client.endpoints.getMetrics(endpointId, { timeframe, metrics: ["costs"] });
  out.push(`costs of ${endpointId}: ${costs.total.toFixed(2)} USD`);
  const { potentialSavings, suggestions } = costs.optimization ?? {};
  const analysis = [];
  if (potentialSavings > 0) {
    out.push(`could be less by ${potentialSavings.toFixed(2)} USD`);
    for (const item of suggestions) {
      const confidence = (item.confidence * 100).toFixed(0);
      out.push(`${item.description}: ${item.savings.toFixed(2)} USD, ${confidence} % sure, effort ${item.effort}`);
      analysis.push({ ...item, roi: (100 * item.savings) / costs.total, monthlyImpact: 12 * item.savings });
    }
    for (const item of analysis) out.push(`${item.category}: ${item.roi.toFixed(1)} % saved`);
  }
  return { costs, analysis };
}

export class PerformanceAlerting {
  constructor(client, endpointIds, thresholds = {}) {
    const usual = { maxLatency: 5, minSuccessRate: 95, maxErrorRate: 5, maxCostIncrease: 20 };
    Object.assign(this, { client, endpointIds, thresholds: { ...usual, ...thresholds }, alerts: [] });
  }

  async checkAlerts() {
    for (const endpointId of this.endpointIds) {
      try {
        const groups = ["performance", "costs"];
        const metrics = await this.client.endpoints.getMetrics(endpointId, { timeframe: "1h", metrics: groups });
        this.evaluateMetrics(endpointId, metrics);
      } catch (error) {
        this.addAlert(endpointId, "error", `no metrics: ${error.message}`);
      }
    }
    return this.alerts;
  }

  evaluateMetrics(endpointId, { summary, costs }) {
    const limit = this.thresholds;
    const errorRate = 100 - summary.successRate;
    const dearer = costs?.trends?.daily?.changePercent;
    if (summary.averageLatency > limit.maxLatency) {
      this.addAlert(endpointId, "warning", `latency ${summary.averageLatency.toFixed(2)} s`);
    }
    if (summary.successRate < limit.minSuccessRate) {
      this.addAlert(endpointId, "critical", `success rate ${summary.successRate.toFixed(2)} %`);
    }
    if (errorRate > limit.maxErrorRate) this.addAlert(endpointId, "warning", `error rate ${errorRate.toFixed(2)} %`);
    if (dearer > limit.maxCostIncrease) this.addAlert(endpointId, "warning", `costs +${dearer.toFixed(1)} %`);
  }

  addAlert(endpointId, severity, message) {
    this.alerts.push({ endpointId, severity, message, timestamp: new Date().toISOString() });
  }

  // Writes the alerts by severity; without any it writes nothing.
  sendNotifications(out) {
    for (const severity of new Set(this.alerts.map((alert) => alert.severity))) {
      const those = this.alerts.filter((alert) => alert.severity === severity);
      out.push(`${severity.toUpperCase()} (${those.length})`);
      for (const { endpointId, message } of those) out.push(`${endpointId}: ${message}`);
    }
  }
}

export function getPerformanceMetrics(client, options = {}) {
  const { resource = "all", timeRange = "1h", granularity = "1m", aggregation = "avg", metrics = [] } = options;
  const params = new URLSearchParams({ resource, timeRange, granularity, aggregation });
  for (const metric of metrics) params.append("metrics[]", metric);
  return client.getPerformance(params);
}

// What is too full, by the resource's name.
export function findBottlenecks(data) {
  const limits = { cpu: 80, memory: 85, gpu: 95 };
  const found = data.resources.map(({ resourceName, metrics }) => {
    const full = Object.entries(limits).filter(([name, limit]) => metrics[name]?.current > limit);
    return [resourceName, full.map(([name]) => `${name} ${metrics[name].current} %`)];
  });
  return found.filter(([, issues]) => issues.length > 0);
}
