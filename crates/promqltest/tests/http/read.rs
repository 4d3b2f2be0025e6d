//! A server's JSON back into values; anything that Prometheus' API does not say is an error.

use model::{Bucket, Labels, Timestamp};
use promqltest::{Shown, ShownHistogram, ShownPoint, ShownSeries, Told};
use serde_json::Value;

/// The answer, or the text of the error that the server answers with; the outer error is an answer that is neither.
pub(crate) fn answer(status: u16, text: &str) -> Result<Result<Told, String>, String> {
    let json: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    match (string(&json["status"])?, status) {
        ("success", 200) => {
            let told = Told {
                value: result(&json["data"])?,
                warnings: strings(&json["warnings"])?,
                infos: strings(&json["infos"])?,
            };
            Ok(Ok(told))
        }
        ("error", 400 | 422) => Ok(Err(string(&json["error"])?.to_owned())),
        (other, _) => Err(format!("status {other}")),
    }
}

fn result(data: &Value) -> Result<Shown, String> {
    let result = &data["result"];
    match string(&data["resultType"])? {
        "scalar" => Ok(Shown::Scalar(number(pair(result)?.1)?)),
        "string" => Ok(Shown::String(string(pair(result)?.1)?.to_owned())),
        "vector" => Ok(Shown::Vector(array(result)?.iter().map(instant).collect::<Result<_, _>>()?)),
        "matrix" => Ok(Shown::Matrix(array(result)?.iter().map(range).collect::<Result<_, _>>()?)),
        other => Err(format!("result type {other}")),
    }
}

fn instant(series: &Value) -> Result<(Labels, ShownPoint), String> {
    let point = match (series.get("value"), series.get("histogram")) {
        (Some(float), None) => ShownPoint::Float(number(pair(float)?.1)?),
        (None, Some(buckets)) => ShownPoint::Buckets(histogram(pair(buckets)?.1)?),
        _ => return Err(format!("neither a float nor a histogram: {series}")),
    };
    Ok((labels(&series["metric"])?, point))
}

fn range(series: &Value) -> Result<ShownSeries, String> {
    let mut points: Vec<(Timestamp, ShownPoint)> = Vec::new();
    for float in series.get("values").map(array).transpose()?.into_iter().flatten() {
        let (t, v) = pair(float)?;
        points.push((t, ShownPoint::Float(number(v)?)));
    }
    for buckets in series.get("histograms").map(array).transpose()?.into_iter().flatten() {
        let (t, shown) = pair(buckets)?;
        points.push((t, ShownPoint::Buckets(histogram(shown)?)));
    }
    points.sort_by_key(|(t, _)| *t);
    if points.is_empty() {
        return Err(format!("a series without points: {series}"));
    }
    Ok((labels(&series["metric"])?, points))
}

fn labels(metric: &Value) -> Result<Labels, String> {
    let pairs = metric.as_object().ok_or_else(|| format!("no labels: {metric}"))?;
    let pairs: Vec<(&str, &str)> =
        pairs.iter().map(|(name, value)| Ok((name.as_str(), string(value)?))).collect::<Result<_, String>>()?;
    Ok(Labels::from_pairs(pairs))
}

fn histogram(json: &Value) -> Result<ShownHistogram, String> {
    let buckets = json.get("buckets").map(array).transpose()?.into_iter().flatten();
    let buckets = buckets.map(|bucket| match array(bucket)? {
        [inclusive, lower, upper, count] => Ok(Bucket {
            lower: number(lower)?,
            upper: number(upper)?,
            count: number(count)?,
            lower_inclusive: [1, 3].contains(&inclusive.as_i64().ok_or("no rule of bounds")?),
            upper_inclusive: [0, 3].contains(&inclusive.as_i64().ok_or("no rule of bounds")?),
        }),
        other => Err(format!("{} parts of a bucket", other.len())),
    });
    let buckets = buckets.collect::<Result<_, String>>()?;
    Ok(ShownHistogram { count: number(&json["count"])?, sum: number(&json["sum"])?, buckets })
}

/// A time in seconds and what is there.
fn pair(json: &Value) -> Result<(Timestamp, &Value), String> {
    let [t, value] = array(json)? else { return Err(format!("no pair: {json}")) };
    let seconds = t.as_f64().ok_or_else(|| format!("no time: {t}"))?;
    #[expect(clippy::cast_possible_truncation, reason = "scripts last days")]
    let t = (seconds * 1000.0).round() as Timestamp;
    Ok((t, value))
}

fn number(json: &Value) -> Result<f64, String> {
    string(json)?.parse().map_err(|_| format!("no number: {json}"))
}

fn array(json: &Value) -> Result<&[Value], String> {
    json.as_array().map(Vec::as_slice).ok_or_else(|| format!("no array: {json}"))
}

fn string(json: &Value) -> Result<&str, String> {
    json.as_str().ok_or_else(|| format!("no string: {json}"))
}

/// Texts, none if there is no such member.
fn strings(json: &Value) -> Result<Vec<String>, String> {
    if json.is_null() {
        return Ok(Vec::new());
    }
    array(json)?.iter().map(|text| string(text).map(str::to_owned)).collect()
}
