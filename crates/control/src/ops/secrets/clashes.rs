//! Where two secret keys of one service have an entry of the same name.

use std::collections::{BTreeMap, BTreeSet};

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
    /// One sentence for each entry of the secret that hides another secret key's in a service, or is hidden there; with
    /// `also` the entries that it may get as well. Of several secret keys the later one counts.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn secret_clashes(
        &self,
        caller: &Caller,
        project: ProjectId,
        id: SecretId,
        also: &[String],
    ) -> Result<Vec<String>, Refusal> {
        caller.may(project, Action::ReadSecrets)?;
        let mut tx = self.store().read("secret clashes").await.map_err(refused)?;
        let secret = found(&mut tx, project, id).await?;
        let users = tx.secret_users(project).await.map_err(refused)?;
        let mut clashes = Vec::new();
        let mut names: BTreeSet<String> = secret.summary.0.keys().map(ToString::to_string).collect();
        names.extend(also.iter().cloned());
        let mut known = BTreeMap::new();
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
                let does = if hides { "hides" } else { "is hidden by" };
                let sentence = |name: &String| format!("In {}, `{name}` {does} the one of {}.", user.name, other.name);
                clashes.extend(names.iter().filter(|name| has(other, name)).map(sentence));
            }
        }
        Ok(clashes)
    }
}

fn has(secret: &Secret, name: &str) -> bool {
    secret.summary.0.keys().any(|known| known.as_str() == name)
}
