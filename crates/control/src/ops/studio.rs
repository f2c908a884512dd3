//! Signing in to Studio, and who is signed in.
//!
//! What must stay true: a session is worth no more than its key is worth now; a link works once; the operator is nobody's
//! key, may do everything in every project, and stands in each audit row by that name.

use meshkeep_core::{
    Refusal, RefusalKind, SecretText,
    access::{Grant, Role},
    id::ProjectId,
    name::DisplayName,
    wire,
};
use meshkeep_store::AuditEntry;

use crate::{
    Caller, Control, Identity, Origin,
    caller::OPERATOR,
    refusals::{not_found, refused, unauthenticated},
};

/// Who is signed in.
#[derive(Clone, Debug)]
pub enum Visitor {
    /// Whoever holds an API key: one project.
    Key(Caller),
    /// The operator: all projects.
    Operator(Origin),
}

impl Visitor {
    /// Whether it is the operator.
    #[must_use]
    pub const fn is_operator(&self) -> bool {
        matches!(self, Self::Operator(_))
    }

    /// How the access log names them.
    #[must_use]
    pub fn log_id(&self) -> String {
        match self {
            Self::Key(caller) => caller.log_id(),
            Self::Operator(_) => OPERATOR.to_owned(),
        }
    }

    /// How the audit and the page name them.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Key(caller) => match caller.identity() {
                Identity::ApiKey { name, .. } | Identity::Participant { name, .. } | Identity::Service { name, .. } => {
                    name.clone()
                }
                Identity::Operator => OPERATOR.to_owned(),
            },
            Self::Operator(_) => OPERATOR.to_owned(),
        }
    }

    /// As a caller of a project, which the operator must have made sure of.
    fn in_project(&self, project: ProjectId) -> Caller {
        match self {
            Self::Key(caller) => caller.clone(),
            Self::Operator(origin) => {
                let grant = Grant { role: Role::Admin, bind: true };
                Caller::new(Identity::Operator, project, grant, origin.clone())
            }
        }
    }
}

impl Control {
    /// Signs in with an API key. Answers the session's token.
    ///
    /// # Errors
    /// `Unauthenticated`, in the same words whatever is wrong.
    pub async fn sign_in_with_key(&self, key: &str, origin: Origin) -> Result<(SecretText, ProjectId), Refusal> {
        let caller = self.authenticate(Some(key), origin).await?;
        let Identity::ApiKey { id, .. } = caller.identity() else { return Err(unauthenticated()) };
        let mut tx = self.store().write("sign in").await.map_err(refused)?;
        let token = tx.create_studio_session(Some(*id)).await.map_err(refused)?;
        tx.audit(&caller.audited("studio.sign_in", id.to_string())).await.map_err(refused)?;
        tx.commit().await.map_err(refused)?;
        Ok((token, caller.project()))
    }

    /// Signs the operator in with a one-time link. Answers the session's token.
    ///
    /// # Errors
    /// `Unauthenticated`, when the link was used before, is too old or was never made.
    pub async fn sign_in_with_link(&self, link: &str, origin: Origin) -> Result<SecretText, Refusal> {
        let mut tx = self.store().write("sign in").await.map_err(refused)?;
        if !tx.take_studio_link(link).await.map_err(refused)? {
            let message = "this link was used already, or is older than 15 minutes";
            return Err(Refusal::new(RefusalKind::Unauthenticated, "bad_link", message)
                .hint("make another one on the server with `meshkeep studio-link`"));
        }
        let token = tx.create_studio_session(None).await.map_err(refused)?;
        tx.audit(&by_operator("studio.sign_in", OPERATOR, &origin)).await.map_err(refused)?;
        tx.commit().await.map_err(refused)?;
        Ok(token)
    }

    /// Who a session's token belongs to.
    ///
    /// # Errors
    /// `Unauthenticated`, when nobody is signed in with it any more.
    pub async fn visitor(&self, token: &str, origin: Origin) -> Result<Visitor, Refusal> {
        let mut tx = self.store().read("visitor").await.map_err(refused)?;
        let session = tx.studio_session(token).await.map_err(refused)?.ok_or_else(signed_out)?;
        let visitor = match session.key {
            None => Visitor::Operator(origin),
            Some(id) => {
                let (key, _) = tx.api_key(id).await.map_err(refused)?.ok_or_else(signed_out)?;
                let identity = Identity::ApiKey { id, name: key.name };
                Visitor::Key(Caller::new(identity, key.project, key.grant, origin))
            }
        };
        drop(tx);
        if session.is_unnoted {
            let mut tx = self.store().write("note visitor").await.map_err(refused)?;
            tx.note_studio_session(token).await.map_err(refused)?;
            tx.commit().await.map_err(refused)?;
        }
        Ok(visitor)
    }

    /// Signs a session out.
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn sign_out(&self, token: &str) -> Result<(), Refusal> {
        let mut tx = self.store().write("sign out").await.map_err(refused)?;
        tx.delete_studio_session(token).await.map_err(refused)?;
        tx.commit().await.map_err(refused)
    }

    /// The visitor as a caller of one project.
    ///
    /// # Errors
    /// `NotFound` for the operator, when there is no such project. A key's caller is that of its own project, whose
    /// operations refuse any other.
    pub async fn visit(&self, visitor: &Visitor, project: ProjectId) -> Result<Caller, Refusal> {
        if visitor.is_operator() {
            let mut tx = self.store().read("visit").await.map_err(refused)?;
            tx.project(project).await.map_err(refused)?.ok_or_else(|| not_found("project"))?;
        }
        Ok(visitor.in_project(project))
    }

    /// The projects that a visitor may open, by name.
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn visitor_projects(&self, visitor: &Visitor) -> Result<Vec<wire::Project>, Refusal> {
        let Visitor::Key(caller) = visitor else {
            let mut tx = self.store().read("projects").await.map_err(refused)?;
            let projects = tx.projects().await.map_err(refused)?;
            return Ok(projects.into_iter().map(|found| wire::Project::new(found.id, found.name)).collect());
        };
        Ok(self.projects(caller).await?.projects)
    }

    /// Makes a project. Its first API key is made like any other.
    ///
    /// # Errors
    /// `Forbidden` for everybody but the operator; a bad name.
    pub async fn create_project(&self, visitor: &Visitor, name: &str) -> Result<wire::Project, Refusal> {
        let Visitor::Operator(origin) = visitor else {
            return Err(Refusal::new(RefusalKind::Forbidden, "not_allowed", "only the operator makes projects")
                .hint("sign in with a link that `meshkeep studio-link` makes on the server"));
        };
        let name: DisplayName = name.parse().map_err(|why| Refusal::invalid("name", why))?;
        let mut tx = self.store().write("create project").await.map_err(refused)?;
        let project = tx.create_project(name.as_str()).await.map_err(refused)?;
        let entry = by_operator("project.create", &project.id.to_string(), origin);
        tx.audit(&AuditEntry { project: Some(project.id), ..entry }).await.map_err(refused)?;
        tx.commit().await.map_err(refused)?;
        Ok(wire::Project::new(project.id, project.name))
    }
}

fn by_operator(action: &str, object: &str, origin: &Origin) -> AuditEntry {
    AuditEntry {
        project: None,
        actor: OPERATOR.to_owned(),
        action: action.to_owned(),
        object: object.to_owned(),
        origin: origin.audited(),
        outcome: AuditEntry::DONE.to_owned(),
    }
}

fn signed_out() -> Refusal {
    Refusal::new(RefusalKind::Unauthenticated, "signed_out", "you are not signed in any more").hint("sign in again")
}
