"""Reads samples and expressions by the Prometheus API and counts by plain arithmetic, apart from the vendor's answers."""

import datetime
import json
import urllib.parse
import urllib.request

LOOKBACK_MS = 300_000


class Measured:
    """One project's samples."""

    def __init__(self, host, token):
        self.host, self.token = host, token
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def ask(self, path, **params):
        body = urllib.parse.urlencode(params).encode()
        request = urllib.request.Request("%s/api/v1/%s" % (self.host, path), body)
        request.add_header("Authorization", "Bearer " + self.token)
        with self._opener.open(request, timeout=60) as answer:
            answer = json.load(answer)
        assert answer["status"] == "success", answer
        return answer["data"]

    def value(self, expr, t_ms):
        """The only value of an expression, or nothing."""
        rows = self.ask("query", query=expr, time=t_ms / 1000)["result"]
        assert len(rows) <= 1, (expr, rows)
        return float(rows[0]["value"][1]) if rows else None

    def by(self, label, expr, t_ms):
        """The values of an expression by one label."""
        rows = self.ask("query", query=expr, time=t_ms / 1000)["result"]
        return {row["metric"].get(label, ""): float(row["value"][1]) for row in rows}

    def line(self, expr, start_ms, end_ms, step_ms):
        """The values of an expression at each step by its labels; a step without one is missing."""
        data = self.ask("query_range", query=expr, start=start_ms / 1000, end=end_ms / 1000, step=step_ms / 1000)
        return [(row["metric"], {round(t * 1000): float(v) for t, v in row["values"]}) for row in data["result"]]

    def samples(self, selector, start_ms, end_ms):
        """Labels and samples of every series from a little before the start on."""
        window = "%dms" % (end_ms - start_ms + LOOKBACK_MS)
        rows = self.ask("query", query="%s[%s]" % (selector, window), time=end_ms / 1000)["result"]
        return [(row["metric"], [(round(t * 1000), float(v)) for t, v in row["values"]]) for row in rows]

    def gain(self, selector, start_ms, end_ms):
        """What all counters of a selector gained together in `(start, end]`."""
        return sum(gained(samples, start_ms, end_ms) for _, samples in self.samples(selector, start_ms, end_ms))

    def gains(self, selector, start_ms, end_ms, step_ms):
        """The same in each bucket, by the end of the bucket."""
        all_samples = self.samples(selector, start_ms, end_ms)
        ends = range(start_ms + step_ms, end_ms + 1, step_ms)
        return {end: sum(gained(samples, end - step_ms, end) for _, samples in all_samples) for end in ends}

    def mean(self, selector, start_ms, end_ms):
        """The mean over series of each one's mean in `(start, end]`."""
        means = []
        for _, samples in self.samples(selector, start_ms, end_ms):
            inside = [v for t, v in samples if start_ms < t <= end_ms]
            means += [sum(inside) / len(inside)] if inside else []
        return sum(means) / len(means) if means else None


def gained(samples, start_ms, end_ms):
    """What one counter gained in `(start, end]`: the last sample before counts as the start, a fall is a new beginning."""
    before = [v for t, v in samples if start_ms - LOOKBACK_MS < t <= start_ms]
    inside = [v for t, v in samples if start_ms < t <= end_ms]
    values = before[-1:] + inside
    return sum(b - a if a <= b else b for a, b in zip(values, values[1:]))


def parse_time(text):
    """Milliseconds since 1970 of a time as answers write it."""
    return round(datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000)


def near(what, ours, expected, digits):
    """Fails unless `ours` is `expected` rounded to so many digits."""
    assert ours is not None and expected is not None, (what, ours, expected)
    slack = 0.5 * 10.0 ** -digits + 1e-9 * max(1.0, abs(expected))
    assert abs(ours - expected) <= slack, "%s is %r, expected %r" % (what, ours, expected)
