"""Reads metrics as text from standard input, as OpenMetrics or as Prometheus' text, and prints each sample as JSON."""

import json
import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

parse = {"openmetrics": openmetrics, "prometheus": prometheus}[sys.argv[1]]
for family in parse(sys.stdin.read()):
    for sample in family.samples:
        labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
        print(json.dumps([f"{sample.name}{{{labels}}}", family.type, sample.value]))
