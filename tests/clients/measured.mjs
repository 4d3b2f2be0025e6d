// Reads samples and expressions by the Prometheus API and counts by plain arithmetic, apart from the vendor's answers.

import assert from "node:assert";

const LOOKBACK_MS = 300000;

export class Measured {
  constructor(host, token) {
    Object.assign(this, { host, token });
  }

  async ask(path, params) {
    const answer = await fetch(`${this.host}/api/v1/${path}`, {
      method: "POST",
      body: new URLSearchParams(params),
      headers: { Authorization: `Bearer ${this.token}` },
    });
    const { status, data, error } = await answer.json();
    assert.equal(status, "success", error);
    return data.result;
  }

  // The values of an expression by one label.
  async by(label, expr, tMs) {
    const rows = await this.ask("query", { query: expr, time: tMs / 1000 });
    return Object.fromEntries(rows.map((row) => [row.metric[label], Number(row.value[1])]));
  }

  // What all counters of a selector gained together after `startMs`, up to `endMs`.
  async gain(selector, startMs, endMs) {
    const query = `${selector}[${endMs - startMs + LOOKBACK_MS}ms]`;
    const rows = await this.ask("query", { query, time: endMs / 1000 });
    return rows.reduce((sum, row) => sum + gained(row.values, startMs, endMs), 0);
  }

  // The same in each bucket of `stepMs`, in order.
  async gains(selector, startMs, endMs, stepMs) {
    const query = `${selector}[${endMs - startMs + LOOKBACK_MS}ms]`;
    const rows = await this.ask("query", { query, time: endMs / 1000 });
    const starts = Array.from({ length: (endMs - startMs) / stepMs }, (_, n) => startMs + n * stepMs);
    return starts.map((start) => rows.reduce((sum, row) => sum + gained(row.values, start, start + stepMs), 0));
  }

  // The mean over series of each one's mean in that time.
  async mean(selector, startMs, endMs) {
    const query = `${selector}[${endMs - startMs}ms]`;
    const rows = await this.ask("query", { query, time: endMs / 1000 });
    const means = rows.map(({ values }) => values.reduce((sum, [, v]) => sum + Number(v), 0) / values.length);
    return means.reduce((sum, mean) => sum + mean, 0) / means.length;
  }
}

// The last sample before counts as the start, and a fall is a new beginning.
function gained(samples, startMs, endMs) {
  const at = samples.map(([t, v]) => [Math.round(1000 * t), Number(v)]);
  const before = at.filter(([t]) => startMs - LOOKBACK_MS < t && t <= startMs).slice(-1);
  const values = [...before, ...at.filter(([t]) => startMs < t && t <= endMs)].map(([, v]) => v);
  return values.slice(1).reduce((sum, v, n) => sum + (v < values[n] ? v : v - values[n]), 0);
}

// Fails unless `ours` is `expected` rounded to so many digits.
export function near(what, ours, expected, digits) {
  const slack = 0.5 * 10 ** -digits + 1e-9 * Math.max(1, Math.abs(expected));
  assert.ok(Math.abs(ours - expected) <= slack, `${what} is ${ours}, expected ${expected}`);
}
