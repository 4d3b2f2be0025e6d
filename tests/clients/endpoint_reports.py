"""What TensorOne's documents do with an endpoint's metrics in Python: reports about traffic, money, speed and hardware.

Each function asks, writes its report to `out` and returns what the report is about.
"""

ALL_GROUPS = ["performance", "usage", "costs", "resources"]


def get_endpoint_metrics(client, out, endpoint_id, timeframe="24h"):
    metrics = client.get_metrics(endpoint_id, timeframe=timeframe, metrics=ALL_GROUPS)
    summary = metrics.summary
    out.write("endpoint %s over %s\n" % (endpoint_id, timeframe))
    out.write("  executions    %d\n" % summary.total_executions)
    out.write("  success rate  %.2f %%\n" % summary.success_rate)
    out.write("  mean latency  %.2f s\n" % summary.average_latency)
    out.write("  cost          %.2f USD\n" % summary.total_cost)
    return metrics


def analyze_costs(client, out, endpoint_id, timeframe="30d"):
    costs = client.get_metrics(endpoint_id, timeframe=timeframe, metrics=["costs"]).costs
    out.write("costs of %s: %.2f USD, %.2f a day, %.2f a month\n" % (
        endpoint_id, costs.total, costs.trends.daily.average, costs.trends.projection.monthly))
    if costs.optimization.potential_savings > 0:
        out.write("  could be less by %.2f USD:\n" % costs.optimization.potential_savings)
        for item in costs.optimization.suggestions:
            out.write("  - %s: %.2f USD, effort %s\n" % (item.description, item.savings, item.effort))
    return costs


def analyze_performance_trends(client, out, endpoint_id, timeframe="7d"):
    metrics = client.get_metrics(endpoint_id, timeframe=timeframe, granularity="1h", metrics=["performance"])
    rows = [
        {"timestamp": point.timestamp, "avg": point.avg, "p95": point.p95, "p99": point.p99}
        for point in metrics.performance.latency.time_series
    ]
    # A table leaves out what is not there, and differences are between neighbours that both are.
    mean = {name: average([row[name] for row in rows]) for name in ("avg", "p95", "p99")}
    steps = [after["avg"] - before["avg"] for before, after in zip(rows, rows[1:])
             if before["avg"] is not None and after["avg"] is not None]
    slope = average(steps)
    word = "unknown" if slope is None else "improving" if slope < 0 else "degrading"
    out.write("latency of %s: mean %s s, p95 %s s, p99 %s s, %s\n" % (
        endpoint_id, shown(mean["avg"]), shown(mean["p95"]), shown(mean["p99"]), word))
    return {"rows": rows, "mean": mean, "slope": slope}


def monitor_resource_utilization(client, out, endpoint_id, timeframe="24h"):
    resources = client.get_metrics(endpoint_id, timeframe=timeframe, granularity="15m", metrics=["resources"]).resources
    gpu = resources.gpu
    out.write("GPUs of %s: mean %.1f %%, peak %.1f %%, memory %.1f %%, efficiency %.1f %%\n" % (
        endpoint_id, gpu.utilization.average, gpu.utilization.peak, gpu.memory.average, gpu.performance.efficiency))
    for event in resources.scaling.events or []:
        out.write("  %s %s from %d to %d: %s\n" % (
            event.timestamp, event.action, event["from"], event.to, event.reason))
    return resources


def analyze_cold_starts(client, out, endpoint_id, timeframe="7d"):
    cold = client.get_metrics(endpoint_id, timeframe=timeframe, metrics=["performance"]).cold_starts
    out.write("cold starts of %s: %d, %.2f %% of executions, %.1f s each, +%.1f s, +%.2f USD\n" % (
        endpoint_id, cold.count, cold.rate, cold.average_duration, cold.impact.latency_increase,
        cold.impact.cost_increase))
    if cold.optimization.warm_pool_recommended:
        better = cold.optimization.estimated_improvement
        out.write("  warm replicas: -%.1f s, -%.2f USD\n" % (better.latency_reduction, better.cost_reduction))
    return cold


def create_dashboard_data(client, out, endpoint_ids, timeframe="24h"):
    rows = []
    for endpoint_id in endpoint_ids:
        try:
            metrics = client.get_metrics(endpoint_id, timeframe=timeframe, metrics=ALL_GROUPS)
            summary = metrics.summary
            rows.append({
                "endpoint_id": endpoint_id,
                "executions": summary.total_executions,
                "success_rate": summary.success_rate,
                "avg_latency": summary.average_latency,
                "p95_latency": summary.p95_latency,
                "total_cost": summary.total_cost,
                "gpu_utilization": metrics.resources.gpu.utilization.average,
                "error_rate": 100 - summary.success_rate,
                "cold_starts": metrics.cold_starts.count if metrics.cold_starts else 0,
            })
        except Exception as error:  # One endpoint's failure is a line of the report.
            out.write("no metrics of %s: %s\n" % (endpoint_id, error))
    return rows


def average(values):
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def shown(value):
    return "-" if value is None else "%.2f" % value
