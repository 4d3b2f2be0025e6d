//! The registry of projects and tokens: created, listed and revoked here, checked in `authority`.

use std::path::Path;

use model::{ProjectId, Timestamp};
use rusqlite::params;

use crate::schema::File;
use crate::token::{Digest, random_digits};
use crate::{Access, Action, ControlError, KeyId, Scopes, TokenText};

/// Bytes of a project's or token's display name.
pub(crate) const NAME_BYTES_MAX: usize = 200;

/// Generated ids are 16 of these: safe in paths, labels and logs, and never guessed.
const PROJECT_ID_LEN: usize = 16;
const PROJECT_ID_DIGITS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// A project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// Its id; never given to another project.
    pub id: ProjectId,
    /// Its display name.
    pub name: String,
    /// When it was created, in ms since the Unix epoch.
    pub created_ms: Timestamp,
}

/// What a new token shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewToken {
    /// Whose series it reaches.
    pub access: Access,
    /// Its display name; may be empty.
    pub name: String,
    /// What it allows.
    pub scopes: Scopes,
    /// When it stops being valid, in ms since the Unix epoch.
    pub expires_ms: Option<Timestamp>,
}

/// A token as it is listed: everything but the secret, which nobody knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenEntry {
    /// Its public part.
    pub key_id: KeyId,
    /// Whose series it reaches.
    pub access: Access,
    /// Its display name; may be empty.
    pub name: String,
    /// What it allows.
    pub scopes: Scopes,
    /// When it was created, in ms since the Unix epoch.
    pub created_ms: Timestamp,
    /// When it stops, or stopped, being valid by itself.
    pub expires_ms: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_ms: Option<Timestamp>,
}

/// The registry in its file, which several processes may have open at once. A change that returned is on disk.
#[derive(Debug)]
pub struct Control {
    pub(crate) file: File,
}

impl Control {
    /// Opens the file at `path`, or makes it; its directory must exist.
    pub fn open(path: &Path) -> Result<Control, ControlError> {
        Ok(Control { file: File::open(path)? })
    }

    /// Creates a project, with a generated id unless one is given.
    pub fn create_project(&self, name: &str, id: Option<ProjectId>, now: Timestamp) -> Result<Project, ControlError> {
        check_name(name)?;
        let id = match id {
            Some(id) => id,
            None => generate_project_id()?,
        };
        let sql = "INSERT INTO projects (id, name, created_ms) VALUES (?1, ?2, ?3) ON CONFLICT (id) DO NOTHING";
        let inserted =
            self.file.connection.execute(sql, params![id.as_str(), name, now]).map_err(self.file.sqlite())?;
        if inserted == 0 {
            return Err(ControlError::ProjectExists(id));
        }
        Ok(Project { id, name: name.to_owned(), created_ms: now })
    }

    /// All projects, oldest first.
    pub fn projects(&self) -> Result<Vec<Project>, ControlError> {
        let sql = "SELECT id, name, created_ms FROM projects ORDER BY created_ms, id";
        let rows = self.file.select(sql, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let project = |(id, name, created_ms): (String, String, i64)| {
            let id = ProjectId::parse(&id).map_err(|e| self.file.corrupt(e.to_string()))?;
            Ok(Project { id, name, created_ms })
        };
        rows.into_iter().map(project).collect()
    }

    /// Creates a token: the text returned is the only copy of its secret.
    pub fn create_token(&self, new: &NewToken, now: Timestamp) -> Result<TokenText, ControlError> {
        check_name(&new.name)?;
        let project_id = match &new.access {
            Access::Operator => None,
            Access::Project(_) if new.scopes.contains(Action::Admin) => {
                return Err(ControlError::OperatorOnly(Action::Admin));
            }
            Access::Project(id) => Some(id),
        };
        if new.scopes == Scopes::NONE {
            return Err(ControlError::NoScope);
        }
        project_id.map_or(Ok(()), |id| self.require_project(id))?;
        let (text, key_id, digest) = TokenText::generate()?;
        let sql = "INSERT INTO tokens (key_id, secret_sha256, project_id, name, scopes, created_ms, expires_ms)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let project_id = project_id.map(ProjectId::as_str);
        let scopes = new.scopes.to_string();
        let row = params![key_id.as_str(), digest, project_id, new.name, scopes, now, new.expires_ms];
        self.file.connection.execute(sql, row).map_err(self.file.sqlite())?;
        Ok(text)
    }

    /// All tokens, also expired and revoked ones, oldest first.
    pub fn tokens(&self) -> Result<Vec<TokenEntry>, ControlError> {
        read_tokens(&self.file)?.into_iter().map(|token| Ok(token?.0)).collect()
    }

    /// Revokes the token with this key id, or the one live token with this name; the token's own text will do too.
    ///
    /// Revoking again by key id changes nothing and is no error.
    pub fn revoke_token(&self, which: &str, now: Timestamp) -> Result<TokenEntry, ControlError> {
        let mut token = self.find_token(public_part(which))?;
        let sql = "UPDATE tokens SET revoked_ms = ?2 WHERE key_id = ?1 AND revoked_ms IS NULL";
        self.file.connection.execute(sql, params![token.key_id.as_str(), now]).map_err(self.file.sqlite())?;
        token.revoked_ms.get_or_insert(now);
        Ok(token)
    }

    fn find_token(&self, which: &str) -> Result<TokenEntry, ControlError> {
        let mut tokens = self.tokens()?;
        if let Some(idx) = tokens.iter().position(|token| token.key_id.as_str() == which) {
            return Ok(tokens.swap_remove(idx));
        }
        tokens.retain(|token| token.name == which && token.revoked_ms.is_none());
        let n = tokens.len();
        match tokens.pop() {
            None => Err(ControlError::NoToken(which.to_owned())),
            Some(_) if n > 1 => Err(ControlError::AmbiguousToken { name: which.to_owned(), n }),
            Some(token) => Ok(token),
        }
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Fails unless there is such a project.
    pub(crate) fn require_project(&self, id: &ProjectId) -> Result<(), ControlError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM projects WHERE id = ?1)";
        let is_there = self.file.connection.query_row(sql, [id.as_str()], |row| row.get(0));
        if is_there.map_err(self.file.sqlite())? { Ok(()) } else { Err(ControlError::NoProject(id.clone())) }
    }
}

/// A row of the table of tokens, or what is wrong with it.
pub(crate) type StoredToken = Result<(TokenEntry, Digest), ControlError>;

/// Every token with the digest of its secret, oldest first. A row that no version wrote is an error by itself: a list
/// shows it, a check does without it.
pub(crate) fn read_tokens(file: &File) -> Result<Vec<StoredToken>, ControlError> {
    let sql = "SELECT key_id, secret_sha256, project_id, name, scopes, created_ms, expires_ms, revoked_ms
               FROM tokens ORDER BY created_ms, key_id";
    let rows = file.select(sql, |row| {
        Ok(TokenRow {
            key_id: row.get(0)?,
            digest: row.get(1)?,
            project_id: row.get(2)?,
            name: row.get(3)?,
            scopes: row.get(4)?,
            created_ms: row.get(5)?,
            expires_ms: row.get(6)?,
            revoked_ms: row.get(7)?,
        })
    })?;
    Ok(rows.into_iter().map(|row| row.check().map_err(|what| file.corrupt(what))).collect())
}

/// A row as SQLite gives it.
struct TokenRow {
    key_id: String,
    digest: Digest,
    project_id: Option<String>,
    name: String,
    scopes: String,
    created_ms: Timestamp,
    expires_ms: Option<Timestamp>,
    revoked_ms: Option<Timestamp>,
}

impl TokenRow {
    fn check(self) -> Result<(TokenEntry, Digest), String> {
        let key_id = KeyId::parse(&self.key_id).ok_or_else(|| format!("{:?} is not a key id", self.key_id))?;
        let access = match self.project_id {
            None => Access::Operator,
            Some(id) => Access::Project(ProjectId::parse(&id).map_err(|e| format!("token {key_id}: {e}"))?),
        };
        let scopes = self.scopes.parse().map_err(|e| format!("token {key_id}: {e}"))?;
        let TokenRow { digest, name, created_ms, expires_ms, revoked_ms, .. } = self;
        Ok((TokenEntry { key_id, access, name, scopes, created_ms, expires_ms, revoked_ms }, digest))
    }
}

/// What of a token's text may be looked up and shown in an error; any other text as it is.
fn public_part(which: &str) -> &str {
    let Some(token) = which.strip_prefix("pm1_") else { return which };
    token.split('_').next().unwrap_or_default()
}

fn check_name(name: &str) -> Result<(), ControlError> {
    let valid = name.len() <= NAME_BYTES_MAX && !name.chars().any(char::is_control);
    if valid { Ok(()) } else { Err(ControlError::Name(name.chars().take(NAME_BYTES_MAX).collect())) }
}

fn generate_project_id() -> Result<ProjectId, ControlError> {
    let digits = random_digits::<PROJECT_ID_LEN>(PROJECT_ID_DIGITS)?;
    Ok(ProjectId::parse(&String::from_utf8_lossy(&digits))?)
}
