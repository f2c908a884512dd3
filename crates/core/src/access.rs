//! Who may do what: one pure table.
//!
//! Binding is reading: whoever may bind a secret, or edit a service that has some bound, can make it print them. The
//! bind right therefore stands beside the role and can be taken from a key.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A role within a project, lowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sees rooms and sessions.
    Member,
    /// Manages services, rooms and sessions.
    Developer,
    /// Everything.
    Admin,
}

impl Role {
    /// The word on the wire and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Developer => "developer",
            Self::Admin => "admin",
        }
    }

    /// The role of this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Member, Self::Developer, Self::Admin].into_iter().find(|role| role.as_str() == word)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a credential is worth: a role, and whether it may bind secrets. Admins always may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Grant {
    /// The role.
    pub role: Role,
    /// The bind right.
    pub bind: bool,
}

impl Grant {
    /// No more than either of the two: a token never exceeds the key that signed it.
    #[must_use]
    pub fn intersect(self, other: Self) -> Self {
        Self { role: self.role.min(other.role), bind: self.bind && other.bind }
    }
}

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// See the project, rooms, sessions and their states.
    Look,
    /// List and read services (values hidden).
    ReadServices,
    /// Create, change and delete services without bound secrets.
    ManageServices,
    /// Bind a secret to a service, or change a service that has some bound.
    Bind,
    /// Read a service's log.
    ReadLogs,
    /// Create, change and delete rooms, get a token for one.
    ManageRooms,
    /// Launch, restart and terminate.
    RunSessions,
    /// List secrets: names, never values.
    ReadSecrets,
    /// Create, change and delete secrets.
    ManageSecrets,
    /// Read a value.
    Reveal,
    /// Create, list and delete API keys.
    ManageKeys,
    /// Read the audit.
    ReadAudit,
}

impl Action {
    /// All of them, for tests that must miss none.
    pub const ALL: [Self; 12] = [
        Self::Look,
        Self::ReadServices,
        Self::ManageServices,
        Self::Bind,
        Self::ReadLogs,
        Self::ManageRooms,
        Self::RunSessions,
        Self::ReadSecrets,
        Self::ManageSecrets,
        Self::Reveal,
        Self::ManageKeys,
        Self::ReadAudit,
    ];
}

/// The rule.
#[must_use]
pub const fn allows(grant: Grant, action: Action) -> bool {
    match action {
        Action::Look => true,
        Action::ReadServices
        | Action::ManageServices
        | Action::ReadLogs
        | Action::ManageRooms
        | Action::RunSessions => {
            matches!(grant.role, Role::Developer | Role::Admin)
        }
        Action::Bind | Action::ReadSecrets => match grant.role {
            Role::Admin => true,
            Role::Developer => grant.bind,
            Role::Member => false,
        },
        Action::ManageSecrets | Action::Reveal | Action::ManageKeys | Action::ReadAudit => {
            matches!(grant.role, Role::Admin)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_may_what_the_design_says() {
        let may = |role, bind| {
            Action::ALL.into_iter().filter(|action| allows(Grant { role, bind }, *action)).collect::<Vec<_>>()
        };
        use Action::*;
        assert_eq!(may(Role::Admin, false), Action::ALL, "an admin may everything, bind right or not");
        assert_eq!(may(Role::Member, true), [Look], "bind gives a member nothing");
        assert_eq!(
            may(Role::Developer, false),
            [Look, ReadServices, ManageServices, ReadLogs, ManageRooms, RunSessions]
        );
        assert_eq!(
            may(Role::Developer, true),
            [Look, ReadServices, ManageServices, Bind, ReadLogs, ManageRooms, RunSessions, ReadSecrets]
        );
    }

    #[test]
    fn intersection_never_adds() {
        let roles = [Role::Member, Role::Developer, Role::Admin];
        for (a, b) in roles.iter().flat_map(|a| roles.iter().map(move |b| (*a, *b))) {
            for (x, y) in [(true, true), (true, false), (false, true), (false, false)] {
                let (left, right) = (Grant { role: a, bind: x }, Grant { role: b, bind: y });
                for action in Action::ALL {
                    let both = allows(left, action) && allows(right, action);
                    assert!(!allows(left.intersect(right), action) || both, "{left:?} ∩ {right:?} gained {action:?}");
                }
            }
        }
    }
}
