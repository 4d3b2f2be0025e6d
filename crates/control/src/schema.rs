//! Opens the SQLite file: who may read it, how it is written, which tables it has.

use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Row, TransactionBehavior};

use crate::ControlError;

/// How long a writer waits for another process to finish.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// What each version adds to the one before it; a file made by an earlier version is brought to the last. A step that was
/// released never changes.
const STEPS: &[&str] = &[TABLES, ENDPOINTS, PROJECT_LIMITS, PLACES];

/// Version 1. Times are ms since the Unix epoch; a token without a project is an operator's.
const TABLES: &str = "
    CREATE TABLE projects (
        id         TEXT PRIMARY KEY,
        name       TEXT NOT NULL,
        created_ms INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE tokens (
        key_id        TEXT PRIMARY KEY,
        secret_sha256 BLOB NOT NULL CHECK (length(secret_sha256) = 32),
        project_id    TEXT REFERENCES projects (id),
        name          TEXT NOT NULL,
        scopes        TEXT NOT NULL,
        created_ms    INTEGER NOT NULL,
        expires_ms    INTEGER,
        revoked_ms    INTEGER
    ) STRICT;
    CREATE INDEX tokens_by_name ON tokens (name);
";

/// Version 2. Two projects may call their endpoints alike.
const ENDPOINTS: &str = "
    CREATE TABLE endpoints (
        project_id       TEXT NOT NULL REFERENCES projects (id),
        id               TEXT NOT NULL,
        namespace        TEXT NOT NULL,
        name             TEXT NOT NULL,
        model            TEXT,
        tier             TEXT,
        region           TEXT,
        cluster          TEXT,
        gpu_model        TEXT,
        gpu_count        INTEGER,
        budget_usd_month REAL,
        warm_replicas    INTEGER,
        PRIMARY KEY (project_id, id),
        UNIQUE (project_id, namespace, name)
    ) STRICT;
";

/// Version 3. A project's own limits by name, as counts, bytes or ms; what is not here is the server's.
const PROJECT_LIMITS: &str = "
    CREATE TABLE project_limits (
        project_id TEXT NOT NULL REFERENCES projects (id),
        name       TEXT NOT NULL,
        value      INTEGER NOT NULL,
        set_ms     INTEGER NOT NULL,
        PRIMARY KEY (project_id, name)
    ) STRICT, WITHOUT ROWID;
";

/// Version 4. Where an endpoint runs, separated by spaces.
const PLACES: &str = "
    ALTER TABLE endpoints ADD COLUMN places TEXT;
";

/// The version that all steps lead to.
fn version() -> i64 {
    i64::try_from(STEPS.len()).unwrap_or(i64::MAX)
}

/// One connection, and the path for its errors.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) connection: Connection,
    pub(crate) path: PathBuf,
}

impl File {
    /// Opens the file at `path`, or makes it; nobody but its owner may read it.
    pub(crate) fn open(path: &Path) -> Result<File, ControlError> {
        claim(path).map_err(|source| ControlError::Io { path: path.to_owned(), source })?;
        let found = connect(path).map_err(|source| ControlError::Sqlite { path: path.to_owned(), source });
        let (connection, version) = found?;
        if version > self::version() {
            return Err(ControlError::Version { path: path.to_owned(), found: version, known: self::version() });
        }
        Ok(File { connection, path: path.to_owned() })
    }

    /// Makes several changes at once; if one fails, none is made.
    pub(crate) fn all_or_none(
        &self,
        change: impl FnOnce(&Connection) -> rusqlite::Result<()>,
    ) -> Result<(), ControlError> {
        let changed = self.connection.unchecked_transaction().and_then(|transaction| {
            change(&transaction)?;
            transaction.commit()
        });
        changed.map_err(self.sqlite())
    }

    /// All rows of a query without parameters.
    pub(crate) fn select<T>(
        &self,
        sql: &str,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, ControlError> {
        let mut statement = self.connection.prepare(sql).map_err(self.sqlite())?;
        let rows = statement.query_map([], read).map_err(self.sqlite())?;
        rows.collect::<Result<_, _>>().map_err(self.sqlite())
    }

    /// Names the file in an error of SQLite.
    pub(crate) fn sqlite(&self) -> impl Fn(rusqlite::Error) -> ControlError + '_ {
        |source| ControlError::Sqlite { path: self.path.clone(), source }
    }

    /// Says what is wrong with a row.
    pub(crate) fn corrupt(&self, what: String) -> ControlError {
        ControlError::Corrupt { path: self.path.clone(), what }
    }
}

/// Makes the file before SQLite does, for SQLite gives its log the file's permissions.
fn claim(path: &Path) -> std::io::Result<()> {
    let file = std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    let mut permissions = file.metadata()?.permissions();
    if permissions.mode() & 0o077 != 0 {
        permissions.set_mode(permissions.mode() & !0o077);
        file.set_permissions(permissions)?;
    }
    Ok(())
}

/// A connection, and the version of the tables found or made.
fn connect(path: &Path) -> rusqlite::Result<(Connection, i64)> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // Taking the write lock first makes two processes that open a new file take turns.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut version: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let missing = usize::try_from(version).ok().and_then(|version| STEPS.get(version..)).unwrap_or_default();
    if !missing.is_empty() {
        missing.iter().try_for_each(|step| transaction.execute_batch(step))?;
        version = self::version();
        transaction.pragma_update(None, "user_version", version)?;
    }
    transaction.commit()?;
    Ok((connection, version))
}
