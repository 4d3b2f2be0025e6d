//! Ten thousand malformed queries: whatever the text, there is an answer or an error, and no panic.

mod support;

use model::Budget;
use promql::{Context, Query, Steps, TextLimits};
use support::Memory;

/// A small generator of numbers that anyone can replay. Source: Marsaglia's xorshift64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).unwrap_or(0)
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

const TOKENS: [&str; 91] = [
    "smoothed",
    "fill_left",
    "min_of",
    "range",
    "smoothed + ",
    "x",
    "sum",
    "rate",
    "topk",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "bool",
    "and",
    "or",
    "unless",
    "atan2",
    "offset",
    "@",
    "start",
    "end",
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "+",
    "-",
    "*",
    "/",
    "%",
    "^",
    "==",
    "!=",
    "=~",
    "!~",
    "<",
    ">",
    "<=",
    ">=",
    "=",
    "!",
    "1",
    "0",
    "1e308",
    "NaN",
    "Inf",
    "-1",
    "5m",
    "1h30m",
    "0s",
    "1ms",
    "300y",
    "\"a\"",
    "'b'",
    "`c`",
    "\"\\xff\"",
    "\"",
    "'",
    "`",
    "#",
    "\\",
    "é",
    "\u{0}",
    "\n",
    "\r\n",
    " ",
    "label_replace",
    "histogram_quantile",
    "absent_over_time",
    "quantile_over_time",
    "predict_linear",
    "time",
    "vector",
    "scalar",
    "[5m]",
    "[5m:1m]",
    "{a=\"b\"}",
    "{__name__=~\".*\"}",
    "fill",
    "step",
    "anchored",
    "info",
    "m1",
    "s",
];

const VALID: [&str; 14] = [
    "sum by (a) (rate(x[5m]))",
    "histogram_quantile(0.9, sum by (le) (rate(x_bucket[5m])))",
    "x / on (a) group_left (b) y",
    "topk(3, x) or bottomk(2, y) unless z",
    "max_over_time(rate(x[1m])[10m:30s] offset 5m @ end())",
    "label_replace(x, \"a\", \"$1\", \"b\", \"(.*)\")",
    "x{a=\"b\", c!=\"d\", e=~\"f.*\", g!~\"h|i\"} @ 1.5 offset -1d",
    "-x ^ 2 + 3 % 4 * -5",
    "count_values(\"v\", x) > bool 1",
    "absent(x{a=\"b\"}) and on () vector(time())",
    "quantile_over_time(0.5, x[5m])",
    "clamp(round(x, 0.5), scalar(y), 10)",
    "predict_linear(x[1h], 4 * 3600)",
    "{\"my.metric\", \"a.b\"=\"c\"}[5m]",
];

fn soup(random: &mut Random) -> String {
    let n = 1 + random.below(24);
    let mut text = String::new();
    for _ in 0..n {
        text.push_str(random.pick(&TOKENS));
        if random.below(3) > 0 {
            text.push(' ');
        }
    }
    text
}

fn mutated(random: &mut Random) -> String {
    let mut bytes = random.pick(&VALID).as_bytes().to_vec();
    for _ in 0..1 + random.below(4) {
        let at = random.below(bytes.len().max(1)).min(bytes.len());
        match random.below(5) {
            0 if at < bytes.len() => drop(bytes.remove(at)),
            1 => bytes.insert(at, (random.next() & 0x7f) as u8),
            2 => bytes.truncate(at),
            3 => {
                let token = random.pick(&TOKENS).as_bytes().to_vec();
                bytes.splice(at..at, token);
            }
            _ => {
                let other = random.pick(&VALID).as_bytes().to_vec();
                let from = random.below(other.len());
                bytes.extend_from_slice(&other[from..]);
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn noise(random: &mut Random) -> String {
    let bytes: Vec<u8> = (0..random.below(60)).map(|_| (random.next() & 0xff) as u8).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn ten_thousand_malformed_queries_do_not_panic() {
    let mut random = Random(0x5eed_cafe_f00d_0001);
    let empty = Memory::default();
    let some = Memory::default().with(&[("__name__", "x"), ("a", "b")], 30_000, (0..20).map(f64::from)).with(
        &[("__name__", "y"), ("a", "c"), ("le", "1")],
        30_000,
        [f64::NAN, 1.0, f64::INFINITY, -0.0],
    );
    let mut parsed = 0;
    for round in 0..10_000 {
        let text = match round % 5 {
            0 | 1 => soup(&mut random),
            2 | 3 => mutated(&mut random),
            _ => noise(&mut random),
        };
        let Ok(query) = Query::parse(&text, &TextLimits::default()) else { continue };
        parsed += 1;
        let store = if round % 2 == 0 { &empty } else { &some };
        let pool = model::Pool::new(16 << 20);
        let budget = Budget::new(model::Stop::default(), pool, 16 << 20, 100_000);
        let ctx = Context { store, budget: &budget, lookback_ms: 300_000 };
        let _ = query.instant(600_000, &ctx);
        let _ = query.range(Steps { start: 0, end: 600_000, step_ms: 60_000 }, &ctx);
        let again = Query::parse(&query.to_string(), &TextLimits::default());
        assert!(again.is_ok(), "{text:?} prints as {query}, which is refused: {again:?}");
    }
    assert!(parsed > 500, "only {parsed} texts were queries: the generator tests nothing but refusals");
}
