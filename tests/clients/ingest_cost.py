#!/usr/bin/env python3
"""Counts the instructions that a written sample costs, with and without the mapping of names.

    tests/clients/ingest_cost.py target/release/promenade

Runs the server under `valgrind --tool=callgrind` with each mapping, counting inside the function alone that appends a
request; sends the same series a few times and then many times, and divides the difference of instructions by the
difference of samples: what the first sight of a series costs is the same on both sides. Needs valgrind, python3 and a
binary with symbols, and takes a few minutes.
"""

import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request

SERIES = 2000
SCRAPES = (3, 13)


def varint(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def field(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def request(name, t):
    """A write of one sample of each series, as a message of remote write 1.0."""
    out = bytearray()
    for n in range(SERIES):
        labels = sorted({
            "__name__": name,
            "instance": "gpu-node-%05d:9100" % (n // 100),
            "job": "node-exporter",
            "region": "us-east1-a",
            "cpu": "%d" % (n % 100),
        }.items())
        series = b"".join(field(1, field(1, k.encode()) + field(2, v.encode())) for k, v in labels)
        series += field(2, b"\x09" + struct.pack("<d", float(n + t % 1000)) + b"\x10" + varint(t))
        out += field(1, series)
    return bytes(out)


def snappy(content):
    """The block format with literals alone."""
    out = bytearray(varint(len(content)))
    for at in range(0, len(content), 65536):
        part = content[at:at + 65536]
        out += b"\xf4" + struct.pack("<H", len(part) - 1) + part
    return bytes(out)


def instructions(binary, mapping, name, scrapes):
    with tempfile.TemporaryDirectory() as directory:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            listen = "127.0.0.1:%d" % probe.getsockname()[1]
        report = os.path.join(directory, "callgrind.out")
        server = subprocess.Popen(
            ["valgrind", "--tool=callgrind", "--fair-sched=yes", "--callgrind-out-file=" + report,
             "--toggle-collect=server::write::append::append*", binary, "--log", "error", "serve",
             "--insecure-no-auth", "--mapping", mapping, "--listen", listen, "--data-dir",
             os.path.join(directory, "data")],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        base = "http://" + listen
        deadline = time.time() + 600
        while True:
            try:
                opener.open(base + "/-/ready", timeout=60)
                break
            except OSError:
                assert server.poll() is None and time.time() < deadline, "the server does not start"
                time.sleep(0.2)
        start = int(time.time() * 1000)
        for scrape in range(scrapes):
            body = snappy(request(name, start + scrape))
            ask = urllib.request.Request(base + "/api/v1/write", body, {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf"})
            assert opener.open(ask, timeout=300).status == 204
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=300)
        with open(report) as file:
            return int(re.search(r"^(?:summary|totals): (\d+)", file.read(), re.MULTILINE).group(1))


def main():
    binary = sys.argv[1]
    samples = SERIES * (SCRAPES[1] - SCRAPES[0])
    costs = {}
    for mapping, name in [("off", "node_cpu_seconds_total"), ("default", "node_cpu_seconds_total"),
                          ("default", "vllm:prompt_tokens_total")]:
        few, many = (instructions(binary, mapping, name, scrapes) for scrapes in SCRAPES)
        costs[mapping, name] = (many - few) / samples
        print("mapping %-8s %-26s %8.1f instructions/sample" % (mapping, name, costs[mapping, name]), flush=True)
    off, on = costs["off", "node_cpu_seconds_total"], costs["default", "node_cpu_seconds_total"]
    print("no rule matches: %+.2f %%" % (100 * (on / off - 1)))


main()
