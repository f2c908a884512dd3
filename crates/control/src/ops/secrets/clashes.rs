//! Where two secret keys of one service have an entry of the same name.

use std::collections::BTreeMap;

use meshkeep_core::{
    Refusal,
    access::Action,
    id::{ProjectId, SecretId},
    manifest,
};
use meshkeep_store::{Scope, Secret};

use super::read::found;
use crate::{Caller, Control, refusals::refused};

impl Control {
    /// One sentence for each entry of the secret that hides another secret key's in a service, or is hidden there. Of
    /// several secret keys the later one counts.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn secret_clashes(
        &self,
        caller: &Caller,
        project: ProjectId,
        id: SecretId,
    ) -> Result<Vec<String>, Refusal> {
        caller.may(project, Action::ReadSecrets)?;
        let mut tx = self.store().read("secret clashes").await.map_err(refused)?;
        let secret = found(&mut tx, project, id).await?;
        let users = tx.secret_users(project).await.map_err(refused)?;
        let mut clashes = Vec::new();
        let mut known = BTreeMap::from([(id, secret.clone())]);
        for (_, user) in users.into_iter().filter(|(used, _)| *used == id) {
            // Only project services name secrets.
            let service = tx.service(project, Scope::Project, user.id).await.map_err(refused)?;
            let Some(checked) = service.and_then(|service| manifest::check(&service.spec).ok()) else { continue };
            for other in &checked.secrets {
                if !known.contains_key(other)
                    && let Some(found) = tx.secret(project, *other).await.map_err(refused)?
                {
                    known.insert(*other, found);
                }
            }
            let own = checked.secrets.iter().position(|bound| *bound == id);
            for (place, other) in checked.secrets.iter().enumerate().filter(|(_, other)| **other != id) {
                let Some(other) = known.get(other) else { continue };
                let hides = own.is_some_and(|own| own > place);
                clashes.extend(shared(&secret, other).map(|name| match hides {
                    true => format!("In {}, `{name}` hides the one of {}.", user.name, other.name),
                    false => format!("In {}, `{name}` is hidden by the one of {}.", user.name, other.name),
                }));
            }
        }
        Ok(clashes)
    }
}

/// Names that both have.
fn shared<'a>(one: &'a Secret, other: &'a Secret) -> impl Iterator<Item = String> + 'a {
    one.summary.0.keys().filter(|name| other.summary.0.contains_key(*name)).map(ToString::to_string)
}
