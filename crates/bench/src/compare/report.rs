//! The comparison's result: a table with one column a system, and what ours is of each peer's.

use std::collections::BTreeMap;
use std::fmt;

use crate::compare::ask::Cost;
use crate::compare::peers::System;

/// Figures by name and system, in the order they came.
#[derive(Debug, Default)]
pub struct Report {
    systems: Vec<(System, String)>,
    rows: Vec<Row>,
    queries: BTreeMap<System, Vec<Cost>>,
    notes: Vec<String>,
}

#[derive(Debug)]
struct Row {
    name: String,
    values: BTreeMap<System, f64>,
}

impl Report {
    /// An empty report.
    pub(crate) fn new() -> Report {
        Report::default()
    }

    /// Adds a column with what the system says about its version.
    pub(crate) fn add_system(&mut self, system: System, version: String) {
        self.systems.push((system, version));
    }

    /// Sets one figure.
    pub(crate) fn set(&mut self, name: &str, system: System, value: f64) {
        let known = self.rows.iter().position(|row| row.name == name);
        let at = known.unwrap_or_else(|| {
            self.rows.push(Row { name: name.to_owned(), values: BTreeMap::new() });
            self.rows.len() - 1
        });
        self.rows[at].values.insert(system, value);
    }

    /// Sets the two figures of one query.
    pub(crate) fn set_query(&mut self, name: &str, system: System, cost: Cost) {
        self.set(&format!("{name}, CPU ms"), system, cost.cpu_ms);
        self.set(&format!("{name}, wall ms"), system, cost.wall_ms);
        self.queries.entry(system).or_default().push(cost);
    }

    /// Adds the geometric means of the queries so far.
    pub(crate) fn close_queries(&mut self) {
        for (system, costs) in std::mem::take(&mut self.queries) {
            self.set("queries, geometric mean of CPU ms", system, geometric_mean(costs.iter().map(|cost| cost.cpu_ms)));
            self.set(
                "queries, geometric mean of wall ms",
                system,
                geometric_mean(costs.iter().map(|cost| cost.wall_ms)),
            );
        }
    }

    /// Adds a sentence below the table.
    pub(crate) fn note(&mut self, note: String) {
        self.notes.push(note);
    }
}

impl fmt::Display for Report {
    /// As Markdown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (system, version) in &self.systems {
            writeln!(f, "- {}: {version}", system.name())?;
        }
        let peers: Vec<System> = self.systems.iter().map(|(system, _)| *system).skip(1).collect();
        write!(f, "\n| figure |")?;
        self.systems.iter().try_for_each(|(system, _)| write!(f, " {} |", system.name()))?;
        peers.iter().try_for_each(|peer| write!(f, " / {} |", peer.name()))?;
        write!(f, "\n|---|")?;
        (0..self.systems.len() + peers.len()).try_for_each(|_| write!(f, "--:|"))?;
        for row in &self.rows {
            write!(f, "\n| {} |", row.name)?;
            for (system, _) in &self.systems {
                write!(f, " {} |", row.values.get(system).map_or("-".to_owned(), |value| significant(*value)))?;
            }
            for peer in &peers {
                let ratio =
                    row.values.get(&System::Promenade).zip(row.values.get(peer)).map(|(ours, theirs)| ours / theirs);
                let ratio = ratio.filter(|ratio| ratio.is_finite());
                write!(f, " {} |", ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}")))?;
            }
        }
        writeln!(f)?;
        self.notes.iter().try_for_each(|note| write!(f, "\n{note}\n"))
    }
}

/// Three significant digits, and no more decimals than that takes.
fn significant(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// Cost below a microsecond cannot be told from none; it counts as one, so that the mean stays defined.
fn geometric_mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = values.len().max(1) as f64;
    (values.map(|value| value.max(1e-3).ln()).sum::<f64>() / n).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_a_column_for_each_system_and_the_ratios() {
        let mut report = Report::new();
        report.add_system(System::Promenade, "promenade 0.1.0".into());
        report.add_system(System::Prometheus, "prometheus, version 3".into());
        report.set("bytes", System::Promenade, 2.0);
        report.set("bytes", System::Prometheus, 4.0);
        for (system, scale) in [(System::Promenade, 1.0), (System::Prometheus, 10.0)] {
            report.set_query("up", system, Cost { wall_ms: scale, cpu_ms: scale });
            report.set_query("down", system, Cost { wall_ms: 4.0 * scale, cpu_ms: 100.0 * scale });
        }
        report.close_queries();
        report.note("Done.".into());
        let text = report.to_string();
        for line in [
            "- Prometheus: prometheus, version 3",
            "| figure | Promenade | Prometheus | / Prometheus |",
            "| bytes | 2.00 | 4.00 | 0.50 |",
            "| down, CPU ms | 100 | 1000 | 0.10 |",
            "| queries, geometric mean of CPU ms | 10.0 | 100 | 0.10 |",
            "| queries, geometric mean of wall ms | 2.00 | 20.0 | 0.10 |",
            "Done.",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\nis not in\n{text}");
        }
    }
}
