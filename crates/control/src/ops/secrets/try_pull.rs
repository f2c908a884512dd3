//! Trying a pull secret: the same question to the registry that a launch asks, and its answer's cause and fix.
//!
//! What must stay true: the question is audited before it is asked; an answer never holds anything of the credential.

use std::time::Duration;

use meshkeep_core::{
    Refusal, RefusalKind, SecretText,
    access::Action,
    id::ProjectId,
    secret::{PullCredential, REDACTED, SecretKind},
    wire::{PullTest, PullTested},
};
use meshkeep_image::Reference;

use super::read::{found, newest_entries};
use crate::{Caller, Control, refusals::refused, secret_input};

/// How long a person waits for the answer; a launch is more patient.
const PATIENCE: Duration = Duration::from_secs(30);

impl Control {
    /// Asks the registry whether this credential may pull the image; nothing is fetched but its manifest. Whoever may
    /// bind a pull secret may try it: a launch asks the same.
    ///
    /// # Errors
    /// What does not fit, by its field; `NotFound` for the secret. What the registry says is no error.
    pub async fn test_pull(&self, caller: &Caller, project: ProjectId, test: PullTest) -> Result<PullTested, Refusal> {
        caller.may(project, Action::Bind)?;
        let image: Reference = test.image.parse().map_err(|why| Refusal::invalid("image", why))?;
        let mut tx = self.store().write("test pull secret").await.map_err(refused)?;
        let (credential, tried) = match test.secret_id {
            Some(id) => {
                if test.server.is_some() || test.username.is_some() || test.password.is_some() {
                    return Err(Refusal::invalid("secret_id", "is there and so are members of another pull secret")
                        .hint("send either `secret_id`, or `server`, `username` and `password`"));
                }
                let secret = found(&mut tx, project, id).await?;
                if secret.kind != SecretKind::Docker {
                    return Err(Refusal::invalid("secret_id", "names a secret key, not a pull secret"));
                }
                let entries = newest_entries(&mut tx, &secret).await?;
                (secret_input::pull_credential(entries, &secret.name)?, format!("{id} version {}", secret.version))
            }
            None => (unsaved(test)?, "a pull secret that is not saved".to_owned()),
        };
        let object = format!("{tried} at {}/{}", image.registry(), image.repository());
        tx.audit(&caller.audited("secret.test", object)).await.map_err(refused)?;
        tx.commit().await.map_err(refused)?;
        let asked = self.context().parts.images.check(&image, Some(&credential));
        Ok(match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(digest)) => PullTested {
                ok: true,
                code: "ok".to_owned(),
                message: format!("{} gives {image} to this pull secret, as {digest}", image.registry()),
                hint: String::new(),
            },
            Ok(Err(error)) => tested(error.refusal()),
            Err(_) => tested(slow(&image)),
        })
    }
}

/// Whether its members are such that a registry can be asked with them, the asking says.
fn unsaved(test: PullTest) -> Result<PullCredential, Refusal> {
    let PullTest { server, username, password, .. } = test;
    if server.is_none() && username.is_none() && password.is_none() {
        return Err(Refusal::invalid("secret_id", "is missing")
            .hint("name a stored pull secret, or send `server`, `username` and `password`"));
    }
    let missing = |member| Refusal::invalid(member, "is missing");
    let password = password.ok_or_else(|| missing("password"))?;
    if password.expose() == REDACTED {
        return Err(Refusal::invalid("password", format!("is `{REDACTED}`"))
            .hint("send the password itself, or name the stored pull secret by `secret_id`"));
    }
    Ok(PullCredential {
        server: server.ok_or_else(|| missing("server"))?,
        username: username.map(SecretText::new).ok_or_else(|| missing("username"))?,
        password,
    })
}

fn tested(refusal: Refusal) -> PullTested {
    PullTested { ok: false, code: refusal.code, message: refusal.message, hint: refusal.hint }
}

fn slow(image: &Reference) -> Refusal {
    let message = format!("{} did not answer within {} seconds", image.registry(), PATIENCE.as_secs());
    Refusal::new(RefusalKind::Unavailable, "registry_unreachable", message)
        .hint("check the registry's name, and this machine's way to it")
}
