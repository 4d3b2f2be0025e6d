//! A grant: proof that a credential was checked, and what it gives access to.

use std::sync::Arc;

use model::{ProjectId, Scope};

use crate::{Action, Denied, KeyId, Scopes};

/// Whose series a token reaches.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Every project's.
    Operator,
    /// One project's alone.
    Project(ProjectId),
}

/// How written series get their project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteAs {
    /// Each series says its own; one that says none is the default project's.
    Operator,
    /// All are stamped as this project's.
    Project(ProjectId),
}

/// Proof of a check by [`Authority`](crate::Authority), which alone makes one. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Grant(Arc<Allowed>);

#[derive(Clone, Debug)]
struct Allowed {
    access: Access,
    scopes: Scopes,
    /// Absent when the server asks for no tokens.
    key_id: Option<KeyId>,
}

impl Grant {
    pub(crate) fn new(access: Access, scopes: Scopes, key_id: Option<KeyId>) -> Grant {
        Grant(Arc::new(Allowed { access, scopes, key_id }))
    }

    /// Whose series are reached.
    pub fn access(&self) -> &Access {
        &self.0.access
    }

    /// The token's public part, for logs; none when the server asks for no tokens.
    pub fn key_id(&self) -> Option<KeyId> {
        self.0.key_id
    }

    /// What the token's scopes are.
    pub fn scopes(&self) -> Scopes {
        self.0.scopes
    }

    /// Whether the token's scopes allow `action`.
    pub fn allows(&self, action: Action) -> bool {
        self.0.scopes.allows(action)
    }

    /// Fails unless the token's scopes allow `action`.
    pub fn require(&self, action: Action) -> Result<(), Denied> {
        if self.allows(action) { Ok(()) } else { Err(Denied::Scope(action)) }
    }

    /// The grant on a path that names `project`: an operator's narrows to it, a project's own stays as it is.
    pub fn for_project(&self, project: &ProjectId) -> Result<Grant, Denied> {
        match &self.0.access {
            Access::Operator => {
                let access = Access::Project(project.clone());
                Ok(Grant(Arc::new(Allowed { access, ..Allowed::clone(&self.0) })))
            }
            Access::Project(own) if own == project => Ok(self.clone()),
            Access::Project(_) => Err(Denied::Project(project.clone())),
        }
    }

    /// What the store may show.
    pub fn read_scope(&self) -> Result<Scope, Denied> {
        self.require(Action::Read)?;
        Ok(self.scope())
    }

    /// Of which series a vendor's answer may be computed.
    pub fn analytics_scope(&self) -> Result<Scope, Denied> {
        self.require(Action::AnalyticsRead)?;
        Ok(self.scope())
    }

    /// Of which series the store may delete some.
    pub fn delete_scope(&self) -> Result<Scope, Denied> {
        self.require(Action::Delete)?;
        Ok(self.scope())
    }

    /// How what is written gets its project.
    pub fn write_as(&self) -> Result<WriteAs, Denied> {
        self.require(Action::Write)?;
        Ok(match &self.0.access {
            Access::Operator => WriteAs::Operator,
            Access::Project(project) => WriteAs::Project(project.clone()),
        })
    }

    fn scope(&self) -> Scope {
        match &self.0.access {
            Access::Operator => Scope::All,
            Access::Project(project) => Scope::Project(project.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(id: &str) -> ProjectId {
        ProjectId::parse(id).unwrap()
    }

    #[test]
    fn a_projects_grant_stays_within_its_project() {
        let grant = Grant::new(Access::Project(project("a")), Scopes::WRITE_READ, None);
        assert_eq!(grant.read_scope(), Ok(Scope::Project(project("a"))));
        assert_eq!(grant.write_as(), Ok(WriteAs::Project(project("a"))));
        assert_eq!(grant.for_project(&project("a")).unwrap().read_scope(), Ok(Scope::Project(project("a"))));
        assert_eq!(grant.for_project(&project("b")).unwrap_err(), Denied::Project(project("b")));
        assert_eq!(grant.require(Action::Admin), Err(Denied::Scope(Action::Admin)));
        assert_eq!(grant.delete_scope(), Err(Denied::Scope(Action::Delete)), "reading is not deleting");
        let grant = Grant::new(Access::Project(project("a")), "delete".parse().unwrap(), None);
        assert_eq!(grant.delete_scope(), Ok(Scope::Project(project("a"))));
        assert_eq!(grant.read_scope(), Err(Denied::Scope(Action::Read)), "deleting is not reading");
        let grant = Grant::new(Access::Project(project("a")), "analytics:read".parse().unwrap(), None);
        assert_eq!(grant.analytics_scope(), Ok(Scope::Project(project("a"))));
        assert_eq!(grant.read_scope(), Err(Denied::Scope(Action::Read)), "seeing sums is not seeing series");
    }

    #[test]
    fn an_operators_grant_narrows_to_the_project_of_the_path() {
        let grant = Grant::new(Access::Operator, "read".parse().unwrap(), None);
        assert_eq!(grant.read_scope(), Ok(Scope::All));
        let narrowed = grant.for_project(&project("a")).unwrap();
        assert_eq!(narrowed.read_scope(), Ok(Scope::Project(project("a"))));
        assert_eq!(narrowed.write_as(), Err(Denied::Scope(Action::Write)));
        assert!(narrowed.for_project(&project("b")).is_err(), "narrowed once and for all");
    }
}
