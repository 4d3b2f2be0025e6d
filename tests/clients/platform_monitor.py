"""What TensorOne's documents do with the platform's performance in Python: a report, a monitor that keeps a history,
an anomaly detector that compares with a baseline, and a report of what could be better.

What a resource does not have is asked for with a default, as the documents do; a null there would be an error.
"""

import statistics
import time
from collections import deque

HISTORY_MAX = 100
LIMITS = (("cpu", 80), ("memory", 85), ("gpu", 95))
BASELINES = (("cpu", "cpu_utilization"), ("memory", "memory_utilization"), ("gpu", "gpu_utilization"),
             ("response_time", "response_time"))


def get_performance_metrics(client, resource="all", time_range="1h", metrics=None):
    params = {"resource": resource, "timeRange": time_range, "granularity": "1m", "aggregation": "avg"}
    if metrics:
        params["metrics"] = metrics
    return client.get_performance(params)


def report_performance(data, out):
    """Writes the scores, what is too full, and the alerts; returns what is too full."""
    overall = data["overall"]
    out.write("health %s, performance %s, response %s ms, errors %s %%\n" % (
        overall["healthScore"], overall["performanceScore"], overall["averageResponseTime"], overall["errorRate"]))
    issues = []
    for resource in data["resources"]:
        for name, limit in LIMITS:
            current = resource["metrics"].get(name, {}).get("current", 0)
            if current > limit:
                issues.append((resource["resourceName"], name, current))
                out.write("  %s of %s is at %s %%\n" % (name, resource["resourceName"], current))
    for alert in data["alerts"]:
        out.write("  %s: %s of %s is %s, above %s\n" % (
            alert["severity"], alert["metric"], alert["resource"], alert["currentValue"], alert["threshold"]))
    return issues


def plot_performance_trends(data, cpu_axis, gpu_axis):
    """Draws the first three resources; an axis is anything with `plot(times, values, label)`."""
    for resource in data["resources"][:3]:
        points = resource["timeSeries"]
        times = [point["timestamp"] for point in points]
        for axis, key in ((cpu_axis, "cpu_utilization"), (gpu_axis, "gpu_utilization")):
            axis.plot(times, [point["values"].get(key, 0) for point in points], resource["resourceName"])


class PerformanceMonitor:
    """Asks again and again and remembers the latest figures."""

    def __init__(self, client, out, update_interval=30):
        self.client, self.out, self.update_interval = client, out, update_interval
        self.running = False
        self.history = {name: deque(maxlen=HISTORY_MAX) for name in ("time", "cpu", "memory", "gpu", "response_time")}

    def fetch_metrics(self):
        return self.client.get_performance(
            {"resource": "all", "timeRange": "5m", "granularity": "1m", "aggregation": "avg"})

    def update_data(self):
        metrics = self.fetch_metrics()
        together = metrics["aggregatedMetrics"]
        self.history["time"].append(time.time())
        for name in ("cpu", "memory", "gpu"):
            self.history[name].append(together[name + "Utilization"]["average"])
        self.history["response_time"].append(metrics["overall"]["averageResponseTime"])
        self.out.write("health %s, CPU %.1f %%, memory %.1f %%, GPU %.1f %%\n" % (
            metrics["overall"]["healthScore"], self.history["cpu"][-1], self.history["memory"][-1],
            self.history["gpu"][-1]))
        for alert in metrics["alerts"]:
            self.out.write("  alert: %s of %s\n" % (alert["metric"], alert["resource"]))
        return metrics

    def start_monitoring(self):
        self.running = True
        while self.running:
            self.update_data()
            time.sleep(self.update_interval)

    def stop_monitoring(self):
        self.running = False

    def create_dashboard(self, axes):
        """Draws the history once it has two points; `axes` has one axis for each figure."""
        if len(self.history["time"]) > 1:
            for name, axis in axes.items():
                axis.plot(list(self.history["time"]), list(self.history[name]), name)


class AnomalyDetector:
    """Tells values that are far from the mean of a longer time, in standard deviations."""

    def __init__(self, client, out):
        self.client, self.out = client, out
        self.baseline = {}

    def establish_baseline(self, days=7):
        data = self.client.get_performance(
            {"resource": "all", "timeRange": "%dd" % days, "granularity": "1h", "aggregation": "avg"})
        values = {name: [] for name, _ in BASELINES}
        for resource in data["resources"]:
            for point in resource["timeSeries"]:
                for name, key in BASELINES:
                    values[name].append(point["values"].get(key, 0))
        self.baseline = {
            name: {"mean": statistics.fmean(found), "std": statistics.pstdev(found)}
            for name, found in values.items() if found
        }
        for name, figures in self.baseline.items():
            self.out.write("  usual %s: %.1f +- %.1f\n" % (name, figures["mean"], figures["std"]))
        return self.baseline

    def detect_anomalies(self, threshold=2.0):
        data = self.client.get_performance(
            {"resource": "all", "timeRange": "1h", "granularity": "5m", "aggregation": "avg"})
        anomalies = []
        for resource in data["resources"]:
            found = [anomaly for point in resource["timeSeries"] for anomaly in self.anomalies_of(point, threshold)]
            if found:
                anomalies.append({"resource": resource["resourceName"], "resource_id": resource["resourceId"],
                                  "anomalies": found})
        return anomalies

    def anomalies_of(self, point, threshold):
        for name, key in BASELINES:
            usual = self.baseline.get(name)
            if not usual or usual["std"] <= 0:
                continue
            value = point["values"].get(key, 0)
            score = abs(value - usual["mean"]) / usual["std"]
            if score > threshold:
                yield {"timestamp": point["timestamp"], "metric": key, "value": value, "usual": usual["mean"],
                       "score": score, "severity": "high" if score > 3 else "medium"}

    def generate_report(self, anomalies):
        if not anomalies:
            self.out.write("nothing unusual\n")
        for resource in anomalies:
            self.out.write("unusual: %s (%s)\n" % (resource["resource"], resource["resource_id"]))
            for one in resource["anomalies"]:
                self.out.write("  %s %s: %.1f, usually %.1f, %.2f deviations, %s\n" % (
                    one["timestamp"], one["metric"], one["value"], one["usual"], one["score"], one["severity"]))


def get_optimization_recommendations(client, resource_id=None):
    params = {"analyzeBottlenecks": True, "includeRecommendations": True, "timeRange": "24h"}
    if resource_id:
        params["resourceIds"] = [resource_id]
    return client.get_optimization(params)


def analyze_performance_bottlenecks(client, out):
    found = get_optimization_recommendations(client)
    for resource in found["resources"]:
        out.write("%s (%s)\n" % (resource["resourceName"], resource["resourceType"]))
        for item in resource.get("recommendations", []):
            out.write("  [%s] %s: %s\n" % (item["priority"], item["title"], item["description"]))
            if "estimatedImprovement" in item:
                out.write("      %s\n" % item["estimatedImprovement"])
        for bottleneck in resource.get("bottlenecks", []):
            out.write("  %s: %s, impact %s\n" % (
                bottleneck["component"], bottleneck["description"], bottleneck["impact"]))
    for item in found.get("platformRecommendations", []):
        out.write("platform: %s: %s %s\n" % (item["title"], item["description"], item.get("costImpact", "")))
    return found
