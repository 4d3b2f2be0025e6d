//! Which store a log belongs to: a random name made with the log, by which blocks tell theirs from another one.

use disk::{Dir, DiskError};
use ulid::Ulid;

/// The file in the directory of the log.
const STORE_FILE: &str = "store";

/// The store whose log is in `dir`, if we have written there before.
pub(super) fn read(dir: &Dir) -> Result<Option<Ulid>, DiskError> {
    match dir.read(STORE_FILE) {
        Ok(bytes) => Ok(std::str::from_utf8(&bytes).ok().and_then(|text| Ulid::from_string(text.trim()).ok())),
        Err(e) if e.is_not_found() => Ok(None),
        Err(e) => Err(e),
    }
}

/// Whether the store whose log is in `dir` has a name, readable or not.
pub(super) fn is_there(dir: &Dir) -> Result<bool, DiskError> {
    Ok(dir.list()?.iter().any(|entry| entry.name == STORE_FILE))
}

/// Names the store whose log is in `dir`, durably.
pub(super) fn make(dir: &Dir) -> Result<Ulid, DiskError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|_| DiskError {
        op: "name the store of",
        path: dir.path().to_owned(),
        source: std::io::Error::other("the operating system gives no random bytes"),
    })?;
    let store = Ulid::from_bytes(random);
    dir.replace(STORE_FILE, store.to_string().as_bytes())?;
    Ok(store)
}
