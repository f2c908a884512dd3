//! Who is asking: every operation takes a [`Caller`] and checks it itself.

use meshkeep_core::{
    Refusal, RefusalKind,
    access::{Action, Grant, allows},
    id::{ApiKeyId, ProjectId, ServiceId, SessionId},
};
use meshkeep_store::AuditEntry;

/// How the operator is named.
pub(crate) const OPERATOR: &str = "operator";

/// Where a request came from, for the audit and the log.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The peer's address, or `local`.
    pub address: String,
    /// Under which the log knows the request.
    pub request_id: String,
}

impl Origin {
    /// As the audit says it.
    pub(crate) fn audited(&self) -> String {
        format!("{} request {}", self.address, self.request_id)
    }
}

/// An authenticated caller.
#[derive(Clone, Debug)]
pub struct Caller {
    identity: Identity,
    project: ProjectId,
    grant: Grant,
    /// Where the request came from.
    pub origin: Origin,
}

/// How the caller showed who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// With an API key.
    ApiKey {
        /// The key.
        id: ApiKeyId,
        /// Its name.
        name: String,
    },
    /// With a participant token that the key's holder signed.
    Participant {
        /// The signing key.
        key: ApiKeyId,
        /// The participant's name.
        name: String,
    },
    /// With a token that the platform gave a service.
    Service {
        /// Its session, which the token ends with.
        session: SessionId,
        /// The service.
        service: ServiceId,
        /// The participant's name.
        name: String,
    },
    /// As the operator, with a one-time link to Studio.
    Operator,
}

/// Who did something and from where, as the audit names them: a caller, or a job in the name of who began it.
#[derive(Clone, Debug)]
pub(crate) struct By {
    /// The project.
    pub(crate) project: ProjectId,
    /// Who.
    pub(crate) actor: String,
    /// From where.
    pub(crate) origin: String,
}

impl By {
    /// The platform itself, by its own rules.
    pub(crate) fn platform(project: ProjectId) -> Self {
        Self { project, actor: "meshkeep".to_owned(), origin: "local".to_owned() }
    }

    /// The audit's row for what is done to `object`.
    pub(crate) fn audited(&self, action: &str, object: impl Into<String>) -> AuditEntry {
        AuditEntry {
            project: Some(self.project),
            actor: self.actor.clone(),
            action: action.to_owned(),
            object: object.into(),
            origin: self.origin.clone(),
            outcome: AuditEntry::DONE.to_owned(),
        }
    }
}

impl Caller {
    /// A caller whose credential was checked. Only the authentication calls this.
    pub(crate) const fn new(identity: Identity, project: ProjectId, grant: Grant, origin: Origin) -> Self {
        Self { identity, project, grant, origin }
    }

    /// The caller's own project.
    #[must_use]
    pub const fn project(&self) -> ProjectId {
        self.project
    }

    /// Role and bind right.
    #[must_use]
    pub const fn grant(&self) -> Grant {
        self.grant
    }

    /// How the caller showed who it is.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// How the audit names the caller.
    #[must_use]
    pub fn actor(&self) -> String {
        match &self.identity {
            Identity::ApiKey { id, name } => format!("key {name} ({id})"),
            Identity::Participant { key, name } => format!("participant {name} (key {key})"),
            Identity::Service { service, name, .. } => format!("participant {name} (service {service})"),
            Identity::Operator => OPERATOR.to_owned(),
        }
    }

    /// How the access log names the caller: an id, nothing that a client chose.
    #[must_use]
    pub fn log_id(&self) -> String {
        match &self.identity {
            Identity::ApiKey { id, .. } | Identity::Participant { key: id, .. } => id.to_string(),
            Identity::Service { service, .. } => service.to_string(),
            Identity::Operator => OPERATOR.to_owned(),
        }
    }

    /// The audit's row for what the caller does to `object`.
    pub(crate) fn audited(&self, action: &str, object: impl Into<String>) -> AuditEntry {
        self.by().audited(action, object)
    }

    /// Who asks and from where.
    pub(crate) fn by(&self) -> By {
        By { project: self.project, actor: self.actor(), origin: self.origin.audited() }
    }

    /// Refuses other projects, whether they exist or not, and actions beyond the caller's role.
    ///
    /// # Errors
    /// `Forbidden`, in words that do not tell the two apart from a project that does not exist.
    pub fn may(&self, project: ProjectId, action: Action) -> Result<(), Refusal> {
        if project != self.project {
            return Err(Refusal::new(
                RefusalKind::Forbidden,
                "other_project",
                "this credential does not belong to that project",
            )
            .hint("use an API key of the project, or the project id inside the key"));
        }
        if allows(self.grant, action) {
            return Ok(());
        }
        Err(Refusal::new(
            RefusalKind::Forbidden,
            "not_allowed",
            format!("a {} key{} may not do this", self.grant.role, if self.grant.bind { "" } else { " without bind" }),
        )
        .hint("ask an admin of the project for a key with the right that is needed"))
    }
}
