//! Limits that single projects have of their own, in place of the server's: set in the registry, followed by the server.

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use model::{ProjectId, Timestamp};
use parking_lot::{Mutex, RwLock};
use rusqlite::params;

use crate::follow::Followed;
use crate::schema::File;
use crate::{Control, ControlError};

/// What a project may have a limit of its own for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Limit {
    /// Series with recent samples.
    Series,
    /// Exemplars kept.
    Exemplars,
    /// Size of one write, as sent and decompressed.
    WriteSize,
    /// Labels of one series.
    Labels,
    /// A label's name.
    LabelName,
    /// A label's value.
    LabelValue,
    /// How late a sample may come.
    OutOfOrderWindow,
    /// How far ahead of the server's clock a sample may be.
    Future,
}

/// What the number of a limit stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// How many.
    Count,
    /// Bytes.
    Bytes,
    /// Milliseconds.
    Milliseconds,
}

const KIB: u64 = 1 << 10;
const DAY_MS: u64 = 86_400_000;

impl Limit {
    /// Every limit.
    pub const ALL: [Limit; 8] = [
        Limit::Series,
        Limit::Exemplars,
        Limit::WriteSize,
        Limit::Labels,
        Limit::LabelName,
        Limit::LabelValue,
        Limit::OutOfOrderWindow,
        Limit::Future,
    ];

    /// Its name, unit and bounds.
    fn row(self) -> (&'static str, Unit, RangeInclusive<u64>) {
        match self {
            Limit::Series => ("series-max", Unit::Count, 1..=100_000_000),
            Limit::Exemplars => ("exemplars-max", Unit::Count, 1..=10_000_000),
            Limit::WriteSize => ("write-size-max", Unit::Bytes, 64 * KIB..=256 * KIB * KIB),
            Limit::Labels => ("labels-max", Unit::Count, 8..=1024),
            Limit::LabelName => ("label-name-max", Unit::Bytes, 64..=64 * KIB),
            Limit::LabelValue => ("label-value-max", Unit::Bytes, 64..=64 * KIB),
            Limit::OutOfOrderWindow => ("out-of-order-window", Unit::Milliseconds, 0..=31 * DAY_MS),
            Limit::Future => ("future-max", Unit::Milliseconds, 0..=DAY_MS),
        }
    }

    /// Its name, which is that of the server's flag.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// What its number stands for.
    pub fn unit(self) -> Unit {
        self.row().1
    }

    /// The least and the most that it may be.
    pub fn bounds(self) -> RangeInclusive<u64> {
        self.row().2
    }

    /// A number of it as people read it.
    pub fn show(self, value: u64) -> String {
        let of = |units: &[(u64, &str)], least: &str| {
            let unit = units.iter().find(|(size, _)| value != 0 && value.is_multiple_of(*size));
            unit.map_or_else(|| format!("{value}{least}"), |(size, name)| format!("{}{name}", value / size))
        };
        match self.unit() {
            Unit::Count => value.to_string(),
            Unit::Bytes => of(&[(KIB * KIB, "MiB"), (KIB, "KiB")], "B"),
            Unit::Milliseconds => of(&[(DAY_MS, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s")], "ms"),
        }
    }

    fn check(self, value: u64) -> Result<(), ControlError> {
        if self.bounds().contains(&value) { Ok(()) } else { Err(ControlError::LimitBounds { limit: self, value }) }
    }
}

impl FromStr for Limit {
    type Err = ControlError;

    fn from_str(name: &str) -> Result<Limit, ControlError> {
        let known = Limit::ALL.into_iter().find(|limit| limit.name() == name);
        known.ok_or_else(|| ControlError::NoLimit(name.chars().take(40).collect()))
    }
}

/// The limits that one project has of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnLimits(BTreeMap<Limit, u64>);

impl OwnLimits {
    /// The project's own, if it has one.
    pub fn get(&self, limit: Limit) -> Option<u64> {
        self.0.get(&limit).copied()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (Limit, u64)> {
        self.0.iter().map(|(limit, value)| (*limit, *value))
    }
}

impl Control {
    /// Gives a project limits of its own, all of them or, if one is out of bounds, none.
    pub fn set_limits(&self, id: &ProjectId, limits: &[(Limit, u64)], now: Timestamp) -> Result<(), ControlError> {
        self.require_project(id)?;
        limits.iter().try_for_each(|(limit, value)| limit.check(*value))?;
        let sql = "INSERT INTO project_limits (project_id, name, value, set_ms) VALUES (?1, ?2, ?3, ?4)
                   ON CONFLICT (project_id, name) DO UPDATE SET value = ?3, set_ms = ?4";
        self.file.all_or_none(|connection| {
            limits.iter().try_for_each(|(limit, value)| {
                let value = i64::try_from(*value).unwrap_or(i64::MAX);
                connection.execute(sql, params![id.as_str(), limit.name(), value, now]).map(drop)
            })
        })
    }

    /// Takes limits of its own from a project: the server's hold again. Taking what it has not is no error.
    pub fn unset_limits(&self, id: &ProjectId, limits: &[Limit]) -> Result<(), ControlError> {
        self.require_project(id)?;
        let sql = "DELETE FROM project_limits WHERE project_id = ?1 AND name = ?2";
        self.file.all_or_none(|connection| {
            limits.iter().try_for_each(|limit| connection.execute(sql, params![id.as_str(), limit.name()]).map(drop))
        })
    }

    /// The limits that a project has of its own.
    pub fn limits(&self, id: &ProjectId) -> Result<OwnLimits, ControlError> {
        self.require_project(id)?;
        let mut own = OwnLimits::default();
        for row in read_limits(&self.file)? {
            let (project, limit, value) = row?;
            if project == *id {
                own.0.insert(limit, value);
            }
        }
        Ok(own)
    }
}

/// A row of the table of limits, or what is wrong with it.
type StoredLimit = Result<(ProjectId, Limit, u64), ControlError>;

/// Every limit of every project. A row that no version wrote is an error by itself: a list shows it, the server does
/// without it.
fn read_limits(file: &File) -> Result<Vec<StoredLimit>, ControlError> {
    let sql = "SELECT project_id, name, value FROM project_limits ORDER BY project_id, name";
    let rows: Vec<(String, String, i64)> = file.select(sql, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let check = |(project, name, value): (String, String, i64)| {
        let wrong = |what: &dyn std::fmt::Display| file.corrupt(format!("limit of project {project:?}: {what}"));
        let id = ProjectId::parse(&project).map_err(|e| wrong(&e))?;
        let limit: Limit = name.parse().map_err(|e| wrong(&e))?;
        let value = u64::try_from(value).map_err(|e| wrong(&e))?;
        limit.check(value).map_err(|e| wrong(&e))?;
        Ok((id, limit, value))
    };
    Ok(rows.into_iter().map(check).collect())
}

/// The limits of all projects in memory, following the file's changes.
#[derive(Debug)]
pub struct LimitBook {
    /// Held for a refresh only.
    source: Mutex<Followed>,
    /// Replaced as a whole by a refresh.
    known: RwLock<Arc<HashMap<ProjectId, OwnLimits>>>,
}

impl LimitBook {
    /// Opens the registry at `path`, or makes it, and reads its limits.
    pub fn open(path: &Path) -> Result<LimitBook, ControlError> {
        let (source, known) = Followed::open(File::open(path)?, by_project)?;
        Ok(LimitBook { source: Mutex::new(source), known: RwLock::new(Arc::new(known)) })
    }

    /// Reads the limits again if the file has changed, and tells whether it had.
    ///
    /// Errors: the limits known before stay in force.
    pub fn refresh(&self) -> Result<bool, ControlError> {
        let Some(known) = self.source.lock().read_changes(by_project)? else { return Ok(false) };
        *self.known.write() = Arc::new(known);
        Ok(true)
    }

    /// The limits of the projects that have some of their own.
    pub fn all(&self) -> Arc<HashMap<ProjectId, OwnLimits>> {
        self.known.read().clone()
    }
}

fn by_project(file: &File) -> Result<HashMap<ProjectId, OwnLimits>, ControlError> {
    let mut all: HashMap<ProjectId, OwnLimits> = HashMap::new();
    for (id, limit, value) in read_limits(file)?.into_iter().filter_map(Result::ok) {
        all.entry(id).or_default().0.insert(limit, value);
    }
    Ok(all)
}
