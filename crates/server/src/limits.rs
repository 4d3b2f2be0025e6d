//! The limits in force: a project's own where it has some, else the server's.

use std::path::Path;

use axum::extract::State;
use axum::response::Response;
use control::{Access, ControlError, Limit, LimitBook, OwnLimits, Unit};
use model::ProjectId;
use serde_json::{Map, Value, json};
use tsdb::{AppendBounds, Quota, Quotas};
use wire::remote_write::{BodyLimits, LabelLimits};

use crate::auth::Granted;
use crate::config::Config;
use crate::error::ApiError;
use crate::reply;
use crate::state::App;
use crate::store::milliseconds;

/// Follows what projects may have of their own, and tells the store.
pub(crate) struct ProjectLimits {
    book: LimitBook,
    quotas: Quotas,
}

impl ProjectLimits {
    /// Reads them from the registry at `path`.
    pub(crate) fn open(path: &Path) -> Result<ProjectLimits, ControlError> {
        let limits = ProjectLimits { book: LimitBook::open(path)?, quotas: Quotas::default() };
        limits.tell_store();
        Ok(limits)
    }

    /// Reads them again if the registry has changed; blocking.
    pub(crate) fn refresh(&self) -> Result<bool, ControlError> {
        let has_changed = self.book.refresh()?;
        if has_changed {
            self.tell_store();
        }
        Ok(has_changed)
    }

    /// What the store holds projects to; changes with the registry.
    pub(crate) fn quotas(&self) -> Quotas {
        self.quotas.clone()
    }

    fn tell_store(&self) {
        let number = |own: &OwnLimits, limit| own.get(limit).and_then(|value| usize::try_from(value).ok());
        self.quotas.set(self.book.all().iter().map(|(id, own)| {
            let (series_max, exemplars_max) = (number(own, Limit::Series), number(own, Limit::Exemplars));
            (id.clone(), Quota { series_max, exemplars_max })
        }));
    }

    /// The limits that `project` has of its own; an operator's request has none.
    fn own(&self, project: Option<&ProjectId>) -> OwnLimits {
        project.and_then(|id| self.book.all().get(id).cloned()).unwrap_or_default()
    }

    /// What a write of `project` is held to.
    pub(crate) fn of_write(&self, config: &Config, project: Option<&ProjectId>) -> WriteLimits {
        let own = self.own(project);
        let get = |limit| own.get(limit).unwrap_or_else(|| servers(config, limit));
        let size = |limit| usize::try_from(get(limit)).unwrap_or(usize::MAX);
        let ms = |limit| i64::try_from(get(limit)).unwrap_or(i64::MAX);
        let labels = LabelLimits {
            labels_max: size(Limit::Labels),
            name_bytes_max: size(Limit::LabelName),
            value_bytes_max: size(Limit::LabelValue),
        };
        WriteLimits {
            body: BodyLimits { decompressed_bytes_max: size(Limit::WriteSize), labels, ..BodyLimits::default() },
            bounds: AppendBounds { out_of_order_window_ms: ms(Limit::OutOfOrderWindow), future_ms: ms(Limit::Future) },
        }
    }
}

/// What one write is held to.
#[derive(Clone, Copy)]
pub(crate) struct WriteLimits {
    /// Its body, as sent and decompressed, and its labels.
    pub(crate) body: BodyLimits,
    /// Its times.
    pub(crate) bounds: AppendBounds,
}

/// The server's number for a limit.
fn servers(config: &Config, limit: Limit) -> u64 {
    let limits = &config.limits;
    let ms = |duration| milliseconds(duration).unsigned_abs();
    match limit {
        Limit::Series => limits.series_per_project_max as u64,
        Limit::Exemplars => limits.exemplars_per_project_max as u64,
        Limit::WriteSize => limits.write_bytes_max as u64,
        Limit::Labels => limits.labels_max as u64,
        Limit::LabelName => limits.label_name_bytes_max as u64,
        Limit::LabelValue => limits.label_value_bytes_max as u64,
        Limit::OutOfOrderWindow => ms(config.out_of_order_window),
        Limit::Future => ms(limits.future_max),
    }
}

/// `/api/v1/user_limits`, as Mimir calls it: what the caller's project may have, and how much of it there is. An operator
/// sees what the server says, and which projects have limits of their own.
pub(crate) async fn show(State(app): State<App>, Granted(grant): Granted) -> Result<Response, ApiError> {
    let project = match grant.access() {
        Access::Operator => None,
        Access::Project(id) => Some(id),
    };
    let (own, active) = (app.limits().own(project), app.store().reader(&grant)?.querier().active_series());
    let limits: Vec<Value> = Limit::ALL.into_iter().map(|limit| row(&app, limit, &own, active)).collect();
    let Some(id) = project else {
        let of = |own: &OwnLimits| own.iter().map(|(limit, n)| (limit.name().to_owned(), n.into())).collect();
        let all = app.limits().book.all();
        let projects: Map<String, Value> =
            all.iter().map(|(id, own)| (id.to_string(), Value::Object(of(own)))).collect();
        return reply::small(&json!({"limits": limits, "projects": projects}));
    };
    reply::small(&json!({"project": id.as_str(), "limits": limits}))
}

fn row(app: &App, limit: Limit, own: &OwnLimits, active: usize) -> Value {
    let unit = match limit.unit() {
        Unit::Count => "count",
        Unit::Bytes => "bytes",
        Unit::Milliseconds => "ms",
    };
    let value = own.get(limit).unwrap_or_else(|| servers(app.config(), limit));
    let mut row = json!({"name": limit.name(), "value": value, "unit": unit, "own": own.get(limit).is_some()});
    if limit == Limit::Series {
        row["used"] = active.into();
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A project may have of its own what the server may have, and nothing else.
    #[test]
    fn bounds_are_those_of_the_server() {
        let config = Config::new("data", "127.0.0.1:0".parse().unwrap());
        for limit in Limit::ALL {
            for (value, is_inside) in [
                (Some(*limit.bounds().start()), true),
                (Some(*limit.bounds().end()), true),
                (limit.bounds().start().checked_sub(1), false),
                (Some(limit.bounds().end() + 1), false),
            ] {
                let Some(value) = value else { continue };
                let checked = with(&config, limit, value).check();
                assert_eq!(checked.is_ok(), is_inside, "{} {value}: {checked:?}", limit.name());
            }
            assert!(limit.bounds().contains(&servers(&config, limit)), "{}", limit.name());
        }
    }

    fn with(config: &Config, limit: Limit, value: u64) -> Config {
        let mut config = config.clone();
        let (number, duration) = (usize::try_from(value).unwrap(), std::time::Duration::from_millis(value));
        let limits = &mut config.limits;
        match limit {
            Limit::Series => limits.series_per_project_max = number,
            Limit::Exemplars => limits.exemplars_per_project_max = number,
            Limit::WriteSize => limits.write_bytes_max = number,
            Limit::Labels => limits.labels_max = number,
            Limit::LabelName => limits.label_name_bytes_max = number,
            Limit::LabelValue => limits.label_value_bytes_max = number,
            Limit::OutOfOrderWindow => config.out_of_order_window = duration,
            Limit::Future => limits.future_max = duration,
        }
        config
    }
}
