//! What a token allows, as a set; a route names the one action it needs.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Something a route does and a token may allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Store samples.
    Write,
    /// Query and list what is stored.
    Read,
    /// Change how the server runs; never for a project's token.
    Admin,
    /// Delete series.
    Delete,
}

impl Action {
    /// Every action, in the order shown. A new one goes to the end: its place is its bit in the file.
    const ALL: [Action; 4] = [Action::Write, Action::Read, Action::Admin, Action::Delete];

    /// The name in `--scope` and in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Write => "write",
            Action::Read => "read",
            Action::Admin => "admin",
            Action::Delete => "delete",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scopes(u32);

impl Scopes {
    /// What a project's token allows unless told.
    pub const WRITE_READ: Scopes = Scopes(1 << Action::Write as u32 | 1 << Action::Read as u32);
    /// Everything.
    pub const ALL: Scopes = Scopes((1 << Action::ALL.len()) - 1);
    /// Nothing.
    pub(crate) const NONE: Scopes = Scopes(0);

    /// Whether `action` is in the set.
    #[inline]
    pub fn contains(self, action: Action) -> bool {
        self.0 & 1 << action as u32 != 0
    }

    /// The actions of both sets.
    pub fn union(self, other: Scopes) -> Scopes {
        Scopes(self.0 | other.0)
    }

    /// The actions in the set, in their fixed order.
    pub fn iter(self) -> impl Iterator<Item = Action> {
        Action::ALL.into_iter().filter(move |action| self.contains(*action))
    }
}

/// A text that names no scope.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("unknown scope {0:?}, known: {known}", known = Scopes::ALL)]
pub struct ScopesError(String);

impl FromStr for Scopes {
    type Err = ScopesError;

    /// Reads names with commas between them.
    fn from_str(text: &str) -> Result<Scopes, ScopesError> {
        text.split(',').try_fold(Scopes::NONE, |scopes, name| {
            let action = Action::ALL.into_iter().find(|action| action.as_str() == name.trim());
            let action = action.ok_or_else(|| ScopesError(name.chars().take(80).collect()))?;
            Ok(scopes.union(Scopes(1 << action as u32)))
        })
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, action) in self.iter().enumerate() {
            f.write_str(if i == 0 { "" } else { "," })?;
            f.write_str(action.as_str())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read_as_they_are_shown() {
        for (text, shown) in [("write,read", "write,read"), ("read, write,read", "write,read"), ("admin", "admin")] {
            assert_eq!(text.parse::<Scopes>().unwrap().to_string(), shown);
        }
        assert_eq!("write,read".parse(), Ok(Scopes::WRITE_READ));
        assert_eq!("delete,admin,read,write".parse(), Ok(Scopes::ALL));
        for text in ["", "write,", "Write", "logs:read"] {
            let refused = text.parse::<Scopes>().unwrap_err().to_string();
            assert!(refused.ends_with("known: write,read,admin,delete"), "{text:?}: {refused}");
        }
    }
}
