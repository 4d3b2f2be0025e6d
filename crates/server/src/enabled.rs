//! What changes the meaning of existing queries and is therefore off unless asked for, by Prometheus' names.

use promql::Query;

/// Names that Prometheus has for what is always on here.
const ALWAYS_ON: &[&str] = &[
    "exemplar-storage",
    "native-histograms",
    "promql-binop-fill-modifiers",
    "promql-duration-expr",
    "promql-experimental-functions",
    "promql-extended-range-selectors",
];
const LATE_NAMES: &str = "promql-delayed-name-removal";
const TYPE_AND_UNIT: &str = "type-and-unit-labels";
const START_TIMESTAMPS: &str = "use-start-timestamps";

/// Which of them are on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// Series keep their names to the end of an expression: `promql-delayed-name-removal`.
    pub late_names: bool,
    /// The labels `__type__` and `__unit__` go where the name goes: `type-and-unit-labels`.
    pub type_and_unit_labels: bool,
    /// Rates begin where a counter does: `use-start-timestamps`.
    pub start_timestamps: bool,
}

impl Features {
    /// Turns features on by their names, separated by commas.
    ///
    /// Errors: a name that is none.
    pub fn enable(&mut self, names: &str) -> Result<(), String> {
        for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            match name {
                LATE_NAMES => self.late_names = true,
                TYPE_AND_UNIT => self.type_and_unit_labels = true,
                START_TIMESTAMPS => self.start_timestamps = true,
                _ if ALWAYS_ON.contains(&name) => {}
                _ => {
                    return Err(format!(
                        "unknown feature {name:?}; there are {LATE_NAMES}, {TYPE_AND_UNIT} and {START_TIMESTAMPS}"
                    ));
                }
            }
        }
        Ok(())
    }

    /// The query, meant as the features say.
    pub(crate) fn apply(self, mut query: Query) -> Query {
        if self.late_names {
            query = query.with_late_names();
        }
        if self.type_and_unit_labels {
            query = query.with_type_and_unit_labels();
        }
        if self.start_timestamps {
            query = query.with_start_timestamps();
        }
        query
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_have_prometheus_names() {
        let mut features = Features::default();
        features.enable("native-histograms,promql-experimental-functions").unwrap();
        assert_eq!(features, Features::default(), "these are always on");
        features.enable("promql-delayed-name-removal, use-start-timestamps").unwrap();
        assert_eq!(features, Features { late_names: true, type_and_unit_labels: false, start_timestamps: true });
        let error = features.enable("type-and-unit-labels,warp").unwrap_err();
        assert!(error.contains("\"warp\""), "{error}");
    }
}
