//! The tokens in memory: checks a credential without touching the file, and follows the file's changes.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use model::Timestamp;
use parking_lot::{Mutex, RwLock};
use subtle::ConstantTimeEq as _;

use crate::follow::Followed;
use crate::header::{credential, credential_or_bare};
use crate::registry::read_tokens;
use crate::schema::File;
use crate::token::{Digest, Presented};
use crate::{Access, ControlError, Denied, Grant, KeyId, Scopes};

/// What an unknown key id is compared with, so that it takes as long as a known one. No secret is known to have it.
const NOBODY: Digest = [0; 32];

/// Turns credentials into grants.
///
/// The server calls [`Authority::refresh`] every half second: a token created, expired or revoked by any process is
/// then effective within a second.
#[derive(Debug)]
pub struct Authority(Kind);

#[derive(Debug)]
enum Kind {
    /// Everyone is an operator.
    Open(Grant),
    Tokens(Tokens),
}

#[derive(Debug)]
struct Tokens {
    /// Held for a refresh only, never for a check.
    source: Mutex<Followed>,
    /// Replaced as a whole by a refresh, so that a check holds the lock for the time of a clone.
    known: RwLock<Arc<HashMap<KeyId, Known>>>,
}

/// A token that is not revoked.
struct Known {
    digest: Digest,
    expires_ms: Option<Timestamp>,
    grant: Grant,
}

impl std::fmt::Debug for Known {
    /// Without the digest: it is no secret's text, but nobody needs to see it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Known")
            .field("expires_ms", &self.expires_ms)
            .field("grant", &self.grant)
            .finish_non_exhaustive()
    }
}

impl Authority {
    /// Opens the registry at `path`, or makes it, and reads its tokens.
    pub fn open(path: &Path) -> Result<Authority, ControlError> {
        let (source, known) = Followed::open(File::open(path)?, read_known)?;
        let known = RwLock::new(Arc::new(known));
        Ok(Authority(Kind::Tokens(Tokens { source: Mutex::new(source), known })))
    }

    /// Asks for no token and makes everyone an operator: for a server that only its own machine reaches.
    pub fn open_to_all() -> Authority {
        Authority(Kind::Open(Authority::server_grant()))
    }

    /// Reads the tokens again if the file has changed, and tells whether it had.
    ///
    /// Errors: the tokens known before stay in force.
    pub fn refresh(&self) -> Result<bool, ControlError> {
        let Kind::Tokens(tokens) = &self.0 else { return Ok(false) };
        let Some(known) = tokens.source.lock().read_changes(read_known)? else { return Ok(false) };
        *tokens.known.write() = Arc::new(known);
        Ok(true)
    }

    /// Whether the header has a token that may be newer than the last refresh: its form and checksum are right.
    ///
    /// It may as well be known, and expired or of another secret: that is not told, for whoever sees a difference, be it
    /// in time alone, learns which key ids there are.
    pub fn may_be_new(&self, header: Option<&str>) -> bool {
        match &self.0 {
            Kind::Open(_) => false,
            Kind::Tokens(_) => header
                .and_then(|header| credential_or_bare(header).ok())
                .is_some_and(|token| Presented::parse(&token).is_some()),
        }
    }

    /// The grant of an `Authorization` header: `Bearer TOKEN`, or `Basic` with the token as password.
    pub fn authorize(&self, header: Option<&str>, now: Timestamp) -> Result<Grant, Denied> {
        match &self.0 {
            Kind::Open(grant) => Ok(grant.clone()),
            Kind::Tokens(tokens) => tokens.check(&credential(header.ok_or(Denied::Missing)?)?, now),
        }
    }

    /// The same where the header may also be the token alone, as TensorOne documents it.
    pub fn authorize_or_bare(&self, header: Option<&str>, now: Timestamp) -> Result<Grant, Denied> {
        match &self.0 {
            Kind::Open(grant) => Ok(grant.clone()),
            Kind::Tokens(tokens) => tokens.check(&credential_or_bare(header.ok_or(Denied::Missing)?)?, now),
        }
    }

    /// What the server does by itself it does as an operator, through the same doors as everyone.
    pub fn server_grant() -> Grant {
        Grant::new(Access::Operator, Scopes::ALL, None)
    }

    /// The grant of a bare token.
    pub fn check(&self, token: &str, now: Timestamp) -> Result<Grant, Denied> {
        match &self.0 {
            Kind::Open(grant) => Ok(grant.clone()),
            Kind::Tokens(tokens) => tokens.check(token, now),
        }
    }
}

impl Tokens {
    /// Cost: a checksum, then one hash and one lookup; no allocation.
    fn check(&self, token: &str, now: Timestamp) -> Result<Grant, Denied> {
        let Presented { key_id, digest } = Presented::parse(token).ok_or(Denied::Invalid)?;
        let known = Arc::clone(&self.known.read());
        let token = known.get(&key_id);
        let expected = token.map_or(&NOBODY, |token| &token.digest);
        let is_equal = bool::from(expected.ct_eq(&digest));
        let Some(token) = token.filter(|_| is_equal) else { return Err(Denied::Invalid) };
        if token.expires_ms.is_some_and(|expires_ms| expires_ms <= now) {
            return Err(Denied::Invalid);
        }
        Ok(token.grant.clone())
    }
}

fn read_known(file: &File) -> Result<HashMap<KeyId, Known>, ControlError> {
    let live = read_tokens(file)?.into_iter().filter_map(Result::ok).filter(|(entry, _)| entry.revoked_ms.is_none());
    let known = live.map(|(entry, digest)| {
        let grant = Grant::new(entry.access, entry.scopes, Some(entry.key_id));
        (entry.key_id, Known { digest, expires_ms: entry.expires_ms, grant })
    });
    Ok(known.collect())
}
