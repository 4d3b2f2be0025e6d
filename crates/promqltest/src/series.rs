//! The series notation: labels, then one slot for each interval, as in `up{job="dcgm"} 0+1x5 _x2 stale`.

use std::sync::Arc;

use model::{Histogram, Labels, LabelsBuilder, METRIC_NAME, STALE_NAN};

use crate::cursor::Cursor;
use crate::histogram;

/// The most slots one item may stand for; bounds what a typing mistake can allocate.
pub(crate) const REPEAT_MAX: usize = 1_000_000;

/// One line of a `load` command or of an expectation.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesLine {
    /// The labels.
    pub labels: Labels,
    /// What happens at each interval, from the start.
    pub slots: Vec<Slot>,
}

/// One interval of a series.
#[derive(Clone, Debug, PartialEq)]
pub enum Slot {
    /// No sample: `_`.
    Missing,
    /// A float, or the staleness marker: `stale`.
    Float(f64),
    /// A native histogram: `{{...}}`.
    Histogram {
        /// The histogram.
        histogram: Arc<Histogram>,
        /// Whether the script states a counter reset hint, which an expectation then compares.
        hint_given: bool,
    },
}

/// One line of a `load` command that says since when samples count, as in `up@st _ -30s-1mx2`.
#[derive(Clone, Debug, PartialEq)]
pub struct StartLine {
    /// The labels.
    pub labels: Labels,
    /// For each interval, how much later than its sample counting began, in ms; `None` when nothing is said.
    pub slots: Vec<Option<i64>>,
}

impl StartLine {
    /// Parses one line whose first word ends in `@st`.
    pub(crate) fn parse(line: &str) -> Result<StartLine, String> {
        let mut cursor = Cursor::new(line);
        let labels = labels(&mut cursor)?;
        if !cursor.eat("@st") {
            return Err(format!("expected '@st' at {:?}", cursor.rest()));
        }
        let mut slots = Vec::new();
        while cursor.skip_blanks() && !cursor.at_end() {
            if cursor.eat("_") {
                let n = if cursor.eat("x") { cursor.count(REPEAT_MAX)? } else { 1 };
                slots.extend(std::iter::repeat_n(None, n));
                continue;
            }
            let mut distance = signed_duration(&mut cursor)?;
            let step = if matches!(cursor.peek(), Some('+' | '-')) { signed_duration(&mut cursor)? } else { 0 };
            slots.push(Some(distance));
            let n = if cursor.eat("x") { cursor.count(REPEAT_MAX)? } else { 0 };
            for _ in 0..n {
                distance = distance.saturating_add(step);
                slots.push(Some(distance));
            }
        }
        if !cursor.at_end() {
            return Err(format!("unexpected {:?} in start timestamps", cursor.rest()));
        }
        Ok(StartLine { labels, slots })
    }
}

/// Reads a length of time with an optional sign, in ms.
fn signed_duration(cursor: &mut Cursor<'_>) -> Result<i64, String> {
    let negative = cursor.eat("-");
    if !negative {
        cursor.eat("+");
    }
    let text = cursor.take_while(|c| c.is_ascii_digit() || matches!(c, 'm' | 's' | 'h' | 'd' | 'w' | 'y'));
    let length = promql::parse_duration(text).map_err(|error| format!("duration {text:?}: {error}"))?;
    Ok(if negative { -length } else { length })
}

impl SeriesLine {
    /// Parses one line.
    pub(crate) fn parse(line: &str) -> Result<SeriesLine, String> {
        let mut cursor = Cursor::new(line);
        let labels = labels(&mut cursor)?;
        let mut slots = Vec::new();
        while cursor.skip_blanks() && !cursor.at_end() {
            item(&mut cursor, &mut slots)?;
        }
        if !cursor.at_end() {
            return Err(format!("unexpected {:?} in a series", cursor.rest()));
        }
        Ok(SeriesLine { labels, slots })
    }
}

/// Reads `name{label="value", ...}`, where the name or the braces may be left out.
fn labels(cursor: &mut Cursor<'_>) -> Result<Labels, String> {
    let mut builder = LabelsBuilder::default();
    let name = cursor.name();
    builder.set(METRIC_NAME, name);
    if !cursor.eat("{") {
        return if name.is_empty() { Err("expected a series".to_owned()) } else { Ok(builder.build()) };
    }
    cursor.skip_blanks();
    while !cursor.eat("}") {
        label(cursor, &mut builder)?;
        cursor.skip_blanks();
        if !cursor.eat(",") && cursor.peek() != Some('}') {
            return Err(format!("expected ',' or '}}' at {:?}", cursor.rest()));
        }
        cursor.skip_blanks();
    }
    Ok(builder.build())
}

/// Reads `name="value"`, or a lone quoted metric name.
fn label(cursor: &mut Cursor<'_>, builder: &mut LabelsBuilder) -> Result<(), String> {
    let quoted = cursor.at_quote();
    let name = if quoted { cursor.quoted()? } else { cursor.name().to_owned() };
    cursor.skip_blanks();
    if cursor.eat("=") {
        cursor.skip_blanks();
        builder.set(&name, &cursor.quoted()?);
    } else if quoted {
        builder.set(METRIC_NAME, &name);
    } else {
        return Err(format!("expected '=' at {:?}", cursor.rest()));
    }
    Ok(())
}

/// Reads one item and adds the slots that it stands for.
fn item(cursor: &mut Cursor<'_>, slots: &mut Vec<Slot>) -> Result<(), String> {
    if cursor.eat("_") {
        let n = if cursor.eat("x") { cursor.count(REPEAT_MAX)? } else { 1 };
        slots.extend(std::iter::repeat_n(Slot::Missing, n));
        return Ok(());
    }
    if cursor.rest().starts_with("{{") {
        return histograms(cursor, slots);
    }
    let mut value = if cursor.eat("stale") { STALE_NAN } else { cursor.signed_number()? };
    let step = if matches!(cursor.peek(), Some('+' | '-')) { cursor.signed_number()? } else { 0.0 };
    let repeated = cursor.eat("x");
    if step != 0.0 && !repeated {
        return Err(format!("expected 'x' after a step at {:?}", cursor.rest()));
    }
    slots.push(Slot::Float(value));
    if repeated {
        for _ in 0..cursor.count(REPEAT_MAX)? {
            if step != 0.0 {
                value += step;
            }
            slots.push(Slot::Float(value));
        }
    }
    Ok(())
}

/// Reads `{{...}}`, `{{...}}xN` or `{{...}}+{{...}}xN`.
fn histograms(cursor: &mut Cursor<'_>, slots: &mut Vec<Slot>) -> Result<(), String> {
    let (base, mut hint_given) = histogram::parse(cursor)?;
    let mut step = None;
    if let Some(sign @ ('+' | '-')) = cursor.peek() {
        cursor.eat(if sign == '+' { "+" } else { "-" });
        let (histogram, hint) = histogram::parse(cursor)?;
        hint_given = hint;
        step = Some((histogram, sign == '+'));
    }
    let n = match (cursor.eat("x"), &step) {
        (true, _) => cursor.count(REPEAT_MAX)?,
        (false, None) => 0,
        (false, Some(_)) => return Err(format!("expected 'x' after a step at {:?}", cursor.rest())),
    };
    let mut current = Arc::new(base);
    slots.push(Slot::Histogram { histogram: current.clone(), hint_given });
    for _ in 0..n {
        if let Some((step, added)) = &step {
            current = Arc::new(histogram::stepped(&current, step, *added)?);
        }
        slots.push(Slot::Histogram { histogram: current.clone(), hint_given });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(line: &str) -> Vec<Option<f64>> {
        let line = SeriesLine::parse(line).unwrap();
        line.slots.iter().map(|slot| if let Slot::Float(v) = slot { Some(*v) } else { None }).collect()
    }

    #[test]
    fn items_expand_to_slots() {
        assert_eq!(slots("m 1+2x3"), [1.0, 3.0, 5.0, 7.0].map(Some));
        assert_eq!(slots("m 1-2x1 4"), [1.0, -1.0, 4.0].map(Some));
        assert_eq!(slots("m 5x2"), [5.0; 3].map(Some));
        assert_eq!(slots("m _x2 1 _ \t2"), [None, None, Some(1.0), None, Some(2.0)]);
        assert_eq!(slots("m"), []);
        let stale = slots("m stale")[0].unwrap();
        assert!(model::is_stale(stale));
    }

    #[test]
    fn labels_may_be_quoted_and_the_name_inside() {
        for (line, labels) in [
            ("up", "up"),
            ("{} 1", "{}"),
            (r#"{"gpu.temp", "zone.id"="a"} 1"#, r#"{__name__="gpu.temp", "zone.id"="a"}"#),
            (r#"vllm:x{b = 'it', a="1",} 1"#, r#"vllm:x{a="1", b="it"}"#),
        ] {
            assert_eq!(SeriesLine::parse(line).unwrap().labels.to_string(), labels, "{line}");
        }
    }

    #[test]
    fn start_timestamps_are_told_by_their_distance() {
        let line = StartLine::parse("up{a=\"1\"}@st _ -30s-1mx2 0 _x2 +1ms").unwrap();
        assert_eq!(line.labels.to_string(), "up{a=\"1\"}");
        let expected = [None, Some(-30_000), Some(-90_000), Some(-150_000), Some(0), None, None, Some(1)];
        assert_eq!(line.slots, expected);
        for broken in ["up _", "up@st 1", "up@st 1mx", "up@st -", "up@st 1m?"] {
            assert!(StartLine::parse(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn a_broken_line_is_refused() {
        for line in ["", "m{a=1} 2", "m{a=\"1\" 2", "m 1+2", "m 1 x", "m 1x", "m 1x9999999999", "m abc", "m{a} 1"] {
            assert!(SeriesLine::parse(line).is_err(), "{line:?}");
        }
    }
}
