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
    /// See what the vendors' APIs compute from the series.
    AnalyticsRead,
    /// Read logs.
    LogsRead,
    /// See which endpoints there are.
    EndpointsRead,
    /// Call an endpoint. Nothing here does: it is what gateways that share the tokens may ask for.
    EndpointsExecute,
}

impl Action {
    /// Every action, in the order shown. A new one goes to the end: its place is its bit in the file.
    const ALL: [Action; 8] = [
        Action::Write,
        Action::Read,
        Action::Admin,
        Action::Delete,
        Action::AnalyticsRead,
        Action::LogsRead,
        Action::EndpointsRead,
        Action::EndpointsExecute,
    ];

    /// The name in `--scope` and in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Write => "write",
            Action::Read => "read",
            Action::Admin => "admin",
            Action::Delete => "delete",
            Action::AnalyticsRead => "analytics:read",
            Action::LogsRead => "logs:read",
            Action::EndpointsRead => "endpoints:read",
            Action::EndpointsExecute => "endpoints:execute",
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

    /// Whether the set allows `action`: it holds it, or one that shows as much.
    ///
    /// Who may read all series may also see what is computed from them, and whose they are. Logs are not made of
    /// series, and may hold what users wrote: they need a scope of their own.
    #[inline]
    pub fn allows(self, action: Action) -> bool {
        let follows_from_read = matches!(action, Action::AnalyticsRead | Action::EndpointsRead);
        self.contains(action) || (follows_from_read && self.contains(Action::Read))
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
        let all = "write,read,admin,delete,analytics:read,logs:read,endpoints:read,endpoints:execute";
        assert_eq!((all.parse(), Scopes::ALL.to_string().as_str()), (Ok(Scopes::ALL), all));
        for text in ["", "write,", "Write", "logs:write"] {
            let refused = text.parse::<Scopes>().unwrap_err().to_string();
            assert!(refused.ends_with(&format!("known: {all}")), "{text:?}: {refused}");
        }
    }

    #[test]
    fn reading_series_shows_what_is_computed_of_them_and_nothing_more() {
        let table = [
            ("read", "read,analytics:read,endpoints:read"),
            ("write", "write"),
            ("analytics:read", "analytics:read"),
            ("logs:read,endpoints:execute", "logs:read,endpoints:execute"),
            ("admin", "admin"),
        ];
        for (held, allowed) in table {
            let (held, allowed): (Scopes, Scopes) = (held.parse().unwrap(), allowed.parse().unwrap());
            for action in Action::ALL {
                assert_eq!(held.allows(action), allowed.contains(action), "{held}: {action}");
            }
        }
    }
}
