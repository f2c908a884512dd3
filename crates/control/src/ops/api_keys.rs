//! API keys of a project. A value is answered once, when the key is made.

use meshkeep_core::{
    Refusal, RefusalKind, SecretText,
    access::{Action, Grant, Role},
    api_key::ApiKeyText,
    id::{ApiKeyId, ProjectId},
    name::DisplayName,
    wire,
};
use meshkeep_store::{ApiKey, NewApiKey};
use zeroize::Zeroizing;

use crate::{
    Caller, Control,
    refusals::{internal, not_found, refused},
};

/// Bytes of a description at most.
const MAX_DESCRIPTION: usize = 1024;

impl Control {
    /// Makes a key, worth no more than its maker.
    ///
    /// # Errors
    /// A bad name, a role above the caller's.
    pub async fn create_api_key(
        &self,
        caller: &Caller,
        project: ProjectId,
        wanted: wire::ApiKeyCreate,
    ) -> Result<wire::ApiKeyCreated, Refusal> {
        caller.may(project, Action::ManageKeys)?;
        let name: DisplayName = wanted.name.parse().map_err(|why| Refusal::invalid("name", why))?;
        let description = wanted.description.unwrap_or_default();
        if description.len() > MAX_DESCRIPTION || description.contains('\0') {
            return Err(Refusal::invalid("description", format!("must be at most {MAX_DESCRIPTION} bytes of text")));
        }
        let own = caller.grant();
        let grant = Grant { role: wanted.role.unwrap_or(own.role), bind: wanted.bind.unwrap_or(own.bind) };
        if grant.role > own.role || (grant.bind && !own.bind && own.role != Role::Admin) {
            let message = format!("a {} key cannot make a key that may more than itself", own.role);
            return Err(Refusal::new(RefusalKind::Forbidden, "not_allowed", message));
        }
        let secret = new_secret()?;
        let by = caller.actor();
        let new = NewApiKey {
            name: name.as_str(),
            description: &description,
            grant,
            service: None,
            secret: &secret,
            by: &by,
        };
        let mut tx = self.store().write("create API key").await.map_err(refused)?;
        let key = tx.create_api_key(project, new).await.map_err(refused)?;
        tx.audit(&caller.audited("api_key.create", key.id.to_string())).await.map_err(refused)?;
        tx.commit().await.map_err(refused)?;
        let value = ApiKeyText { id: key.id, project, secret }.format();
        let ApiKey { id, name, description, grant: Grant { role, bind }, .. } = key;
        Ok(wire::ApiKeyCreated { id, name, description, value, role, bind })
    }

    /// All keys, without their values.
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn list_api_keys(&self, caller: &Caller, project: ProjectId) -> Result<wire::ApiKeyList, Refusal> {
        caller.may(project, Action::ManageKeys)?;
        let mut tx = self.store().read("list API keys").await.map_err(refused)?;
        let keys = tx.api_keys(project).await.map_err(refused)?.into_iter().map(listed).collect();
        Ok(wire::ApiKeyList { keys })
    }

    /// Deletes a key; tokens that it signed end with it.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` for the last admin key, without which nobody could make another.
    pub async fn delete_api_key(&self, caller: &Caller, project: ProjectId, id: ApiKeyId) -> Result<(), Refusal> {
        caller.may(project, Action::ManageKeys)?;
        let mut tx = self.store().write("delete API key").await.map_err(refused)?;
        let keys = tx.api_keys(project).await.map_err(refused)?;
        let is_admin = |key: &&ApiKey| key.grant.role == Role::Admin;
        let others = keys.iter().filter(is_admin).filter(|key| key.id != id).count();
        if others == 0 && keys.iter().any(|key| key.id == id && is_admin(&key)) {
            let message = "this is the last admin key of the project";
            return Err(
                Refusal::new(RefusalKind::Conflict, "last_admin_key", message).hint("make another admin key first")
            );
        }
        if !tx.delete_api_key(project, id).await.map_err(refused)? {
            return Err(not_found("API key"));
        }
        tx.audit(&caller.audited("api_key.delete", id.to_string())).await.map_err(refused)?;
        tx.commit().await.map_err(refused)
    }
}

/// 256 random bits.
pub(crate) fn new_secret() -> Result<SecretText, Refusal> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(bytes.as_mut_slice()).map_err(|error| internal("the machine gives no random numbers", &error))?;
    Ok(SecretText::new(hex::encode(bytes.as_slice())))
}

fn listed(key: ApiKey) -> wire::ApiKey {
    let ApiKey { id, name, description, grant: Grant { role, bind }, created_at, .. } = key;
    wire::ApiKey { id, name, description, role, bind, created_at }
}
