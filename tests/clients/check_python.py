#!/usr/bin/env python3
"""Calls every function of the documents' Python code and compares what it returns with what was measured.

    tests/clients/check_python.py HOST TOKEN

HOST holds a demo's fleet to which nothing is added any more. Prints one JSON object: the figure that each function
reports, by the function's name. Anything that differs is an error.
"""

import io
import json
import sys
import threading
import time

import endpoint_reports as reports
import platform_monitor as monitor
from measured import Measured, near, parse_time
from tensorone import ApiError, Client

HOUR_MS = 3_600_000
OK, ALL = 'status_code=~"[23].."', 'status_code=~"[2345].."'


def requests(endpoint, codes):
    return 'inference_requests_total{endpoint_id="%s",%s}' % (endpoint, codes)


def family(name, endpoint, more=""):
    return '%s{endpoint_id="%s"%s}' % (name, endpoint, more)


def check_endpoint_metrics(client, measured, endpoint):
    out = io.StringIO()
    metrics = reports.get_endpoint_metrics(client, out, endpoint, "24h")
    start, end = parse_time(metrics.start), parse_time(metrics.end)
    assert end - start == 24 * HOUR_MS, (metrics.start, metrics.end)
    whole = lambda selector: measured.gain(selector, start, end)
    total, ok = whole(requests(endpoint, ALL)), whole(requests(endpoint, OK))
    near("total_executions", metrics.summary.total_executions, total, 0)
    near("success_rate", metrics.summary.success_rate, 100 * ok / total, 2)
    seconds = whole(family("inference_request_duration_seconds_sum", endpoint))
    n = whole(family("inference_request_duration_seconds_count", endpoint))
    near("average_latency", metrics.summary.average_latency, seconds / n, 3)
    near("total_cost", metrics.summary.total_cost, whole(family("inference_cost_usd_total", endpoint)), 2)
    assert "executions    %d\n" % round(total) in out.getvalue(), out.getvalue()
    return metrics.summary.total_executions


def check_costs(client, measured, endpoint):
    out = io.StringIO()
    costs = reports.analyze_costs(client, out, endpoint, "30d")
    # All that was ever recorded lies inside thirty days.
    end = round(time.time() * 1000)
    whole = lambda more: measured.gain(family("inference_cost_usd_total", endpoint, more), end - 720 * HOUR_MS, end)
    total = whole("")
    assert total > 0, "nothing was recorded"
    near("total", costs.total, total, 2)
    near("daily average", costs.trends.daily.average, total / 30, 2)
    near("monthly", costs.trends.projection.monthly, 30 * costs.trends.daily.average, 2)
    for category in ("compute", "storage", "network", "other"):
        # A part is rounded so that all add up, by less than a cent.
        near(category, costs.breakdown[category].amount, whole(',category="%s"' % category), 1.5)
    parts = sum(round(100 * costs.breakdown[name].amount) for name in ("compute", "storage", "network", "other"))
    assert parts == round(100 * costs.total), (parts, costs.total)
    savings = sum(round(100 * item.savings) for item in costs.optimization.suggestions)
    assert savings == round(100 * costs.optimization.potential_savings), savings
    assert ("could be less" in out.getvalue()) == (savings > 0), out.getvalue()
    return costs.total


def check_trends(client, measured, endpoint):
    out = io.StringIO()
    found = reports.analyze_performance_trends(client, out, endpoint, "7d")
    assert len(found["rows"]) == 168, len(found["rows"])
    start = parse_time(found["rows"][0]["timestamp"])
    end = start + 168 * HOUR_MS
    sums = measured.gains(family("inference_request_duration_seconds_sum", endpoint), start, end, HOUR_MS)
    counts = measured.gains(family("inference_request_duration_seconds_count", endpoint), start, end, HOUR_MS)
    expected = [sums[at] / counts[at] if counts[at] else None for at in sorted(sums)]
    for row, mean in zip(found["rows"], expected):
        if mean is None:
            assert row["avg"] is None, row
        else:
            near(row["timestamp"], row["avg"], mean, 3)
            assert row["avg"] <= row["p99"] and row["p95"] <= row["p99"], row
    near("mean", found["mean"]["avg"], reports.average(expected), 3)
    return found["mean"]["avg"]


def check_resources(client, measured, endpoint):
    out = io.StringIO()
    resources = reports.monitor_resource_utilization(client, out, endpoint, "24h")
    end = parse_time(resources.gpu.utilization.time_series[-1].timestamp) + HOUR_MS // 4
    start = end - 24 * HOUR_MS
    used = family("DCGM_FI_DEV_GPU_UTIL", endpoint)
    near("mean", resources.gpu.utilization.average, measured.mean(used, start, end), 1)
    peak = measured.value("max_over_time(avg(%s)[24h:1m])" % used, end)
    near("peak", resources.gpu.utilization.peak, peak, 1)
    held = [measured.mean(family("DCGM_FI_DEV_FB_" + name, endpoint), start, end) for name in ("USED", "FREE")]
    near("memory", resources.gpu.memory.average, 100 * held[0] / sum(held), 1)
    limits = 'sum(kube_pod_container_resource_limits{endpoint_id="%s",resource="memory"})' % endpoint
    assert resources.cpu.memory.available == "%dGB" % round(measured.value(limits, end) / 1e9)
    running = measured.value('sum(inference_replica_state{endpoint_id="%s",state="running"})' % endpoint, end)
    assert resources.scaling.current_instances == running, resources.scaling.current_instances
    return resources.gpu.utilization.average


def check_cold_starts(client, measured, endpoint):
    out = io.StringIO()
    cold = reports.analyze_cold_starts(client, out, endpoint, "7d")
    # The same answer again: it says when it ends, which is at a full minute.
    answer = client.get_metrics(endpoint, timeframe="7d", metrics=["performance"])
    start, end = parse_time(answer.start), parse_time(answer.end)
    whole = lambda name, more="": measured.gain(family(name, endpoint, more), start, end)
    count = whole("inference_cold_starts_total")
    assert count > 0, "the fleet had no cold start"
    near("count", cold.count, count, 0)
    near("rate", cold.rate, 100 * count / whole("inference_requests_total"), 2)
    lasted = whole("inference_cold_start_seconds_sum", ',phase="total"') / whole(
        "inference_cold_start_seconds_count", ',phase="total"')
    near("duration", cold.average_duration, lasted, 1)
    latency = whole("inference_request_duration_seconds_sum") / whole("inference_request_duration_seconds_count")
    near("latency", cold.impact.latency_increase, lasted - latency, 1)
    near("cost", cold.impact.cost_increase, whole("inference_cost_usd_total", ',phase="cold_start"'), 1.5)
    assert ("warm replicas" in out.getvalue()) == cold.optimization.warm_pool_recommended
    return cold.average_duration


def check_dashboard(client, measured, endpoints):
    out = io.StringIO()
    rows = reports.create_dashboard_data(client, out, endpoints + ["ep_nobody"], "24h")
    assert [row["endpoint_id"] for row in rows] == endpoints, rows
    assert "no metrics of ep_nobody: 404" in out.getvalue(), out.getvalue()
    for row in rows:
        alone = client.get("/v2/endpoints/%s/metrics" % row["endpoint_id"], {"timeframe": "24h"})
        start, end = parse_time(alone["start"]), parse_time(alone["end"])
        near("executions", row["executions"], measured.gain(requests(row["endpoint_id"], ALL), start, end), 0)
        near("error rate", row["error_rate"], 100 - alone["summary"]["successRate"], 2)
        near("GPUs", row["gpu_utilization"],
             measured.mean(family("DCGM_FI_DEV_GPU_UTIL", row["endpoint_id"]), start, end), 1)
        near("cold starts", row["cold_starts"],
             measured.gain(family("inference_cold_starts_total", row["endpoint_id"]), start, end), 0)
    return [row["executions"] for row in rows]


CPU = 'avg by (cluster_id) (rate(node_cpu_seconds_total{mode="idle"}[5m]))'
MEMORY = "sum by (cluster_id) (node_memory_MemAvailable_bytes) / sum by (cluster_id) (node_memory_MemTotal_bytes)"
GPU = 'avg by (cluster_id) (DCGM_FI_DEV_GPU_UTIL{cluster_id!=""})'
GAUGES = {"cpu": "100 * (1 - %s)" % CPU, "memory": "100 * (1 - %s)" % MEMORY, "gpu": GPU}


class Axis:
    """Remembers what is drawn."""

    def __init__(self):
        self.lines = {}

    def plot(self, times, values, label):
        self.lines[label] = list(zip(times, values))


def check_performance(client, measured):
    names = ["cpu_utilization", "gpu_utilization", "memory_utilization", "response_time"]
    data = monitor.get_performance_metrics(client, "clusters", "6h", names)
    start, end = parse_time(data["timeRange"]["start"]), parse_time(data["timeRange"]["end"])
    seconds = measured.gain("inference_request_duration_seconds_sum", start, end)
    n = measured.gain("inference_request_duration_seconds_count", start, end)
    near("response", data["overall"]["averageResponseTime"], 1000 * seconds / n, 0)
    bad = measured.gain('inference_requests_total{status_code=~"[45].."}', start, end)
    near("errors", data["overall"]["errorRate"], 100 * bad / measured.gain("inference_requests_total", start, end), 1)
    # What is current is the value of the last minute: the mean of one evaluation at its end.
    current = {name: measured.by("cluster_id", "avg_over_time((%s)[1m:1m])" % expr, end) for name, expr in GAUGES.items()}
    assert sorted(one["resourceId"] for one in data["resources"]) == sorted(current["cpu"]), data["resources"]
    for resource in data["resources"]:
        for name, values in current.items():
            near(name, resource["metrics"][name]["current"], values[resource["resourceId"]], 1)
    out = io.StringIO()
    issues = monitor.report_performance(data, out)
    expected = [(cluster, name, round(value, 1)) for name, limit in monitor.LIMITS
                for cluster, value in current[name].items() if round(value, 1) > limit]
    assert sorted(issues) == sorted(expected), (issues, expected)
    limits = {"cpu": 85, "memory": 90, "gpu": 90}
    alerts = [(cluster, name + "_utilization") for name, limit in limits.items()
              for cluster, value in current[name].items() if value > limit]
    told = [(one["resource"], one["metric"]) for one in data["alerts"] if one["metric"].endswith("utilization")]
    assert sorted(told) == sorted(alerts), (told, alerts)
    axes = Axis(), Axis()
    monitor.plot_performance_trends(data, *axes)
    first = data["resources"][0]["resourceName"]
    for axis, name in zip(axes, ("cpu", "gpu")):
        expr = "avg_over_time((%s)[1m:1m])" % GAUGES[name]
        [values] = [line for labels, line in measured.line(expr, start + 60_000, end, 60_000)
                    if labels["cluster_id"] == data["resources"][0]["resourceId"]]
        assert len(axis.lines[first]) == 360 and len(values) > 30, (len(axis.lines[first]), len(values))
        for at, value in axis.lines[first]:
            near("%s at %s" % (name, at), value, values.get(parse_time(at) + 60_000, 0), 1)
    return data["overall"]["averageResponseTime"]


def check_monitor(client, measured):
    out = io.StringIO()
    watch = monitor.PerformanceMonitor(client, out, update_interval=0.01)
    metrics = watch.update_data()
    end = parse_time(metrics["timeRange"]["end"])
    for name, expr in (("cpu", '100 * (1 - avg(rate(node_cpu_seconds_total{mode="idle"}[5m])))'),
                       ("gpu", "avg(DCGM_FI_DEV_GPU_UTIL)"),
                       ("memory", "100 * (1 - sum(node_memory_MemAvailable_bytes) / sum(node_memory_MemTotal_bytes))")):
        near(name, watch.history[name][-1], measured.value("avg_over_time((%s)[5m:1m])" % expr, end), 1)
    # Asked in the background until told to stop, as the documents' dashboard does.
    thread = threading.Thread(target=watch.start_monitoring)
    thread.start()
    deadline = time.time() + 60
    while len(watch.history["time"]) < 3 and time.time() < deadline:
        time.sleep(0.01)
    watch.stop_monitoring()
    thread.join(60)
    assert not thread.is_alive() and len(watch.history["time"]) >= 3, len(watch.history["time"])
    axes = {name: Axis() for name in ("cpu", "memory", "gpu", "response_time")}
    watch.create_dashboard(axes)
    assert all(len(axes[name].lines[name]) == len(watch.history["time"]) for name in axes)
    assert out.getvalue().count("health ") == len(watch.history["time"]), out.getvalue()
    return watch.history["gpu"][0]


def check_anomalies(client, measured):
    out = io.StringIO()
    detector = monitor.AnomalyDetector(client, out)
    # Both about the same week: it ends a minute later than before once a minute is over.
    data, end = None, None
    while data is None or data["timeRange"]["end"] != end:
        end = data and data["timeRange"]["end"]
        baseline = detector.establish_baseline(days=7)
        data = client.get_performance({"resource": "all", "timeRange": "7d", "granularity": "1h"})
    n_points = sum(len(resource["timeSeries"]) for resource in data["resources"])
    assert n_points == 168 * len(data["resources"]) > 0, n_points
    # The sum of all hours: of the clusters by machines, of the endpoints by their GPUs and containers.
    end = parse_time(data["timeRange"]["end"])
    total = 0.0
    for label in ("cluster_id", "endpoint_id"):
        expr = 'avg_over_time((avg by (%s) (DCGM_FI_DEV_GPU_UTIL{%s!=""}))[1h:1m])' % (label, label)
        for _, line in measured.line(expr, end - 167 * HOUR_MS, end, HOUR_MS):
            total += sum(round(value, 1) for value in line.values())
    near("GPU baseline", baseline["gpu"]["mean"], total / n_points, 3)
    # Far below any distance everything is unusual; far beyond nothing is.
    assert detector.detect_anomalies(threshold=1e9) == []
    found = detector.detect_anomalies(threshold=2.0)
    hour = client.get_performance({"resource": "all", "timeRange": "1h", "granularity": "5m"})
    expected = 0
    for resource in hour["resources"]:
        for point in resource["timeSeries"]:
            for name, key in monitor.BASELINES:
                usual = baseline[name]
                expected += abs(point["values"].get(key, 0) - usual["mean"]) > 2 * usual["std"] > 0
    assert sum(len(one["anomalies"]) for one in found) == expected, (len(found), expected)
    detector.generate_report(found)
    detector.generate_report([])
    assert out.getvalue().count("deviations") == expected and out.getvalue().endswith("nothing unusual\n")
    return baseline["gpu"]["mean"]


def check_optimization(client, measured, endpoints):
    out = io.StringIO()
    found = monitor.analyze_performance_bottlenecks(client, out)
    by_id = {resource["resourceId"]: resource for resource in found["resources"]}
    assert set(endpoints) <= set(by_id), list(by_id)
    texts = []
    for endpoint in endpoints:
        costs = client.get("/v2/endpoints/%s/metrics" % endpoint, {"timeframe": "24h", "metrics": ["costs"]})["costs"]
        expected = ["$%.2f saved" % item["savings"] for item in costs["optimization"]["suggestions"]]
        told = [item["estimatedImprovement"].split(",")[0] for item in by_id[endpoint]["recommendations"]]
        assert told == expected, (told, expected)
        texts += told
    assert texts, "nothing could be better"
    end = parse_time(found["timeRange"]["end"])
    full = {}
    for labels, line in measured.line("%s > bool 90" % GPU, end - 24 * HOUR_MS + 60_000, end, 60_000):
        full[labels["cluster_id"]] = sum(line.values())
    for cluster, minutes in full.items():
        components = [one["component"] for one in by_id[cluster]["bottlenecks"]]
        assert minutes == 0 or components, (cluster, minutes, components)
    assert "platform: " in out.getvalue(), out.getvalue()
    alone = monitor.get_optimization_recommendations(client, endpoints[0])
    assert [one["resourceId"] for one in alone["resources"]] == [endpoints[0]], alone["resources"]
    assert alone["resources"][0]["recommendations"] == by_id[endpoints[0]]["recommendations"]
    return texts


def main():
    host, token = sys.argv[1:3]
    client, measured = Client(host, token), Measured(host, token)
    now = round(time.time() * 1000)
    endpoints = sorted(measured.by("endpoint_id", "group by (endpoint_id) (inference_replicas_target)", now))
    starts = measured.by("endpoint_id", "inference_cold_starts_total", now)
    busiest = max(endpoints, key=lambda endpoint: (starts[endpoint], endpoint))
    try:
        Client(host, token + "x").get_metrics(busiest)
        raise AssertionError("a wrong token works")
    except ApiError as error:
        assert error.status == 401, error
    print(json.dumps({
        # What needs the last minutes comes first.
        "PerformanceMonitor": check_monitor(client, measured),
        "get_performance_metrics": check_performance(client, measured),
        "monitor_resource_utilization": check_resources(client, measured, busiest),
        "get_endpoint_metrics": check_endpoint_metrics(client, measured, busiest),
        "analyze_costs": check_costs(client, measured, busiest),
        "analyze_performance_trends": check_trends(client, measured, busiest),
        "analyze_cold_starts": check_cold_starts(client, measured, busiest),
        "create_dashboard_data": check_dashboard(client, measured, endpoints),
        "AnomalyDetector": check_anomalies(client, measured),
        "analyze_performance_bottlenecks": check_optimization(client, measured, endpoints),
    }))


main()
