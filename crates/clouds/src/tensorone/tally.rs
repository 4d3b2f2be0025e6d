//! Requests by outcome: rows by status code, folded into what the answers count.

use crate::Row;

/// Requests of one window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Tally {
    pub(crate) total: f64,
    pub(crate) successful: f64,
    pub(crate) class_4xx: f64,
    pub(crate) class_5xx: f64,
    /// 408 and 504; a subset of the two classes.
    pub(crate) timeouts: f64,
    /// 429, 503 and 507; a subset of the two classes.
    pub(crate) exhausted: f64,
    /// 4xx that are neither time-outs nor shortage.
    pub(crate) user_errors: f64,
}

impl Tally {
    /// The sum of all rows at one step. Rows without a code succeeded: their source counts nothing else.
    pub(crate) fn at(rows: &[Row], step_idx: usize) -> Tally {
        let mut tally = Tally::default();
        for row in rows {
            let n = row.values.get(step_idx).copied().filter(|n| n.is_finite()).unwrap_or(0.0);
            tally.add(row.label("status_code"), row.label("reason"), n);
        }
        tally
    }

    fn add(&mut self, code: &str, reason: &str, n: f64) {
        self.total += n;
        match code.bytes().next() {
            Some(b'4') => self.class_4xx += n,
            Some(b'5') => self.class_5xx += n,
            _ => return self.successful += n,
        }
        if matches!(code, "408" | "504") || reason == "timeout" {
            self.timeouts += n;
        } else if matches!(code, "429" | "503" | "507") || reason == "resource_exhausted" {
            self.exhausted += n;
        } else if code.starts_with('4') {
            self.user_errors += n;
        }
    }

    /// What did not succeed.
    pub(crate) fn failed(&self) -> f64 {
        self.class_4xx + self.class_5xx
    }

    /// `part` in percent of all requests; nothing without requests.
    pub(crate) fn percent(&self, part: f64) -> Option<f64> {
        (self.total > 0.0).then(|| 100.0 * part / self.total)
    }
}

#[cfg(test)]
mod tests {
    use model::Labels;

    use super::*;

    #[test]
    fn codes_fall_into_classes_and_subsets() {
        let row = |code: &str, reason: &str, n: f64| Row {
            labels: Labels::from_pairs([("status_code", code), ("reason", reason)]),
            values: vec![n],
        };
        let rows = [
            row("200", "", 90.0),
            row("301", "", 1.0),
            row("400", "", 2.0),
            row("408", "", 3.0),
            row("429", "", 4.0),
            row("500", "", 5.0),
            row("503", "", 6.0),
            row("504", "", 7.0),
            row("500", "timeout", 8.0),
            row("2xx", "", 9.0),
            row("200", "", f64::NAN),
        ];
        let expect = Tally {
            total: 135.0,
            successful: 100.0,
            class_4xx: 9.0,
            class_5xx: 26.0,
            timeouts: 18.0,
            exhausted: 10.0,
            user_errors: 2.0,
        };
        assert_eq!(Tally::at(&rows, 0), expect);
        assert_eq!(Tally::at(&rows, 1), Tally::default());
        assert_eq!(Tally::default().percent(0.0), None);
    }
}
