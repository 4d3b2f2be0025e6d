//! Whether two servers gave the same answer, up to the last digits of a float.

use serde_json::Value;

/// Greatest relative difference of two values that are the same: sums in another order differ in the last digits.
const TOLERANCE: f64 = 1e-9;

/// Whether two `data` objects agree, whatever the order of their series.
pub(crate) fn agree(a: &Value, b: &Value) -> bool {
    match (a["result"].as_array(), b["result"].as_array()) {
        (Some(a), Some(b)) => same(&Value::Array(by_labels(a)), &Value::Array(by_labels(b))),
        _ => same(&sorted(a), &sorted(b)),
    }
}

/// The series of a result in the order of their labels.
fn by_labels(series: &[Value]) -> Vec<Value> {
    let mut series = series.to_vec();
    series.sort_by_cached_key(|series| labels(&series["metric"]));
    series
}

/// Labels as text; the maps of this JSON library are sorted by key.
fn labels(metric: &Value) -> String {
    metric.to_string()
}

/// A list in the order of its texts.
fn sorted(data: &Value) -> Value {
    let mut items = data.as_array().cloned().unwrap_or_default();
    items.sort_by_cached_key(Value::to_string);
    Value::Array(items)
}

fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| same(value, other)))
        }
        (Value::String(a), Value::String(b)) => a == b || close(a, b),
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        _ => a == b,
    }
}

fn close(a: &str, b: &str) -> bool {
    match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => (a - b).abs() <= TOLERANCE * a.abs().max(b.abs()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn result(a: &str, b: &str) -> Value {
        json!({"resultType": "vector", "result": [
            {"metric": {"x": "a"}, "value": [1, a]}, {"metric": {"x": "b"}, "value": [1.0, b]}]})
    }

    #[test]
    fn last_digits_and_order_do_not_count_and_values_do() {
        let mut turned = result("1.5", "2");
        turned["result"].as_array_mut().unwrap().reverse();
        assert!(agree(&result("1.5", "2"), &turned));
        assert!(agree(&result("0.1", "3"), &result("0.10000000000000002", "3")));
        assert!(!agree(&result("0.1", "3"), &result("0.1001", "3")));
        assert!(!agree(&result("0.1", "3"), &result("NaN", "3")));
        assert!(agree(&result("NaN", "3"), &result("NaN", "3")));
        assert!(agree(&json!(["b", "a"]), &json!(["a", "b"])));
        assert!(!agree(&json!(["b", "a"]), &json!(["a"])));
    }
}
