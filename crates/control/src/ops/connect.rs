//! A participant token for a room. The room is made when it is not there.

use meshkeep_core::{
    Refusal, RefusalKind,
    access::{Action, Role},
    id::ProjectId,
    name::RoomName,
    wire,
};
use serde_json::json;

use crate::{
    Caller, Control, Identity,
    refusals::{internal, refused, unauthenticated},
    token::{self, Claims, MINTED_SECONDS, TokenGrant},
};

impl Control {
    /// Signs a token with the caller's own key, so that it ends with that key.
    ///
    /// # Errors
    /// When the caller may not, or the store refuses.
    pub async fn connect_room(
        &self,
        caller: &Caller,
        project: ProjectId,
        room: RoomName,
    ) -> Result<wire::Connected, Refusal> {
        caller.may(project, Action::ManageRooms)?;
        let (id, participant) = match caller.identity() {
            Identity::ApiKey { id, name } => (*id, name),
            Identity::Participant { key, name } => (*key, name),
            Identity::Operator => {
                let message = "the operator has no key that could sign a participant's token";
                return Err(Refusal::new(RefusalKind::Forbidden, "not_allowed", message)
                    .hint("connect with an API key of the project"));
            }
        };
        let (_, secret) = self.key(id).await?.ok_or_else(unauthenticated)?;
        let mut tx = self.store().write("connect to room").await.map_err(refused)?;
        if tx.room_by_name(project, &room).await.map_err(refused)?.is_none() {
            let made = tx.create_room(project, &room, serde_json::Map::new(), Default::default()).await;
            let id = made.map_err(refused)?.id;
            tx.audit(&caller.audited("room.create", id.to_string())).await.map_err(refused)?;
        }
        tx.audit(&caller.audited("room.connect", room.to_string())).await.map_err(refused)?;
        tx.commit().await.map_err(refused)?;
        let claims = Claims {
            name: participant.clone(),
            grants: grants(&room, caller.grant().role),
            sub: project.to_string(),
            kid: Some(id.to_string()),
            version: None,
            exp: Some(self.context().parts.clock.now().as_millis() / 1000 + MINTED_SECONDS),
        };
        let jwt = token::sign(&claims, &secret).map_err(|error| internal("the token could not be signed", &error))?;
        Ok(wire::Connected { jwt, room_url: self.room_url(&room), room_name: room.into(), project_id: project })
    }

    fn room_url(&self, room: &RoomName) -> String {
        // `http` becomes `ws`, `https` becomes `wss`.
        let base = self.context().parts.public_url.replacen("http", "ws", 1);
        format!("{base}/rooms/{room}")
    }
}

/// The room, and what participants commonly may; an admin's token also the rest.
fn grants(room: &RoomName, role: Role) -> Vec<TokenGrant> {
    let mut api = json!({
        "livekit": {}, "queues": {}, "messaging": {}, "database": {}, "memory": {}, "sync": {}, "storage": {},
        "containers": {}, "developer": {}, "agents": {}, "services": {},
    });
    if role == Role::Admin {
        for member in ["admin", "secrets", "tunnels"] {
            api[member] = json!({});
        }
    }
    let grant = |name: &str, scope| TokenGrant { name: name.to_owned(), scope };
    vec![grant("room", json!(room)), grant("role", json!("user")), grant("api", api)]
}
