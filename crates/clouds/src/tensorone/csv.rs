//! An answer's time series as a table: one line for each bucket, one column for each value.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// The lists that are time series, each with the key of its time.
const SERIES: [(&str, &str); 2] = [("timeSeries", "timestamp"), ("byHour", "hour")];

/// The table of `answer` in RFC 4180's form: a header, and a line for each time that any series has.
pub fn csv(answer: &Value) -> String {
    let mut table = Table::default();
    table.visit("", answer);
    let mut out = String::from("timestamp");
    for column in &table.columns {
        out.push(',');
        out.push_str(&field(column));
    }
    out.push_str("\r\n");
    for (time, cells) in &table.lines {
        out.push_str(&field(time));
        for column in &table.columns {
            out.push(',');
            out.push_str(cells.get(column).map_or("", String::as_str));
        }
        out.push_str("\r\n");
    }
    out
}

#[derive(Default)]
struct Table {
    columns: BTreeSet<String>,
    lines: BTreeMap<String, BTreeMap<String, String>>,
}

impl Table {
    fn visit(&mut self, path: &str, value: &Value) {
        let Value::Object(members) = value else { return };
        for (key, member) in members {
            match (member, SERIES.iter().find(|(list, _)| list == key)) {
                (Value::Array(points), Some((_, time))) => self.add(path, points, time),
                (Value::Object(_), _) => self.visit(&join(path, key), member),
                _ => {}
            }
        }
    }

    fn add(&mut self, path: &str, points: &[Value], time: &str) {
        for point in points {
            let (Some(t), Value::Object(members)) = (point[time].as_str(), point) else { continue };
            for (key, value) in members.iter().filter(|(key, _)| *key != time) {
                let column = join(path, key);
                self.columns.insert(column.clone());
                let text = if value.is_null() { String::new() } else { field(&value.to_string()) };
                self.lines.entry(t.to_owned()).or_default().insert(column, text);
            }
        }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// A field, in quotes if it holds what ends fields.
fn field(text: &str) -> String {
    if text.contains([',', '"', '\r', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn series_become_columns_of_one_table() {
        let answer = json!({
            "summary": {"total": 1},
            "performance": {"latency": {"timeSeries": [{"timestamp": "t1", "avg": 1.5, "max": null}]}},
            "costs": {"timeSeries": [{"timestamp": "t1", "cost": 2}, {"timestamp": "t2", "cost": 3}]},
            "usage": {"requests": {"byHour": [{"hour": "t2", "count": 7}]}},
        });
        let expect = "timestamp,costs.cost,performance.latency.avg,performance.latency.max,usage.requests.count\r\n\
                      t1,2,1.5,,\r\nt2,3,,,7\r\n";
        assert_eq!(csv(&answer), expect);
        assert_eq!(field("a\"b,c"), "\"a\"\"b,c\"");
        assert_eq!(csv(&json!({})), "timestamp\r\n");
    }
}
