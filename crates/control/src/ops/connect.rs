//! A participant token for a room. The room is made when it is not there.

use meshkeep_core::{
    Refusal, RefusalKind,
    access::{Action, Grant, Role},
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
            Identity::Service { .. } | Identity::Operator => {
                let message = "only an API key can sign a participant's token";
                return Err(Refusal::new(RefusalKind::Forbidden, "not_allowed", message)
                    .hint("connect with an API key of the project; a service joins with the token that it was given"));
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
            grants: grants(&room, caller.grant()),
            sub: project.to_string(),
            kid: Some(id.to_string()),
            version: None,
            exp: Some(self.context().parts.clock.now().as_millis() / 1000 + MINTED_SECONDS),
            platform: false,
            session_id: None,
            service_id: None,
        };
        let jwt = token::sign(&claims, &secret).map_err(|error| internal("the token could not be signed", &error))?;
        Ok(wire::Connected { jwt, room_url: self.room_url(&room), room_name: room.into(), project_id: project })
    }

    /// Where clients find a room's websocket.
    pub(crate) fn room_url(&self, room: &RoomName) -> String {
        room_url(&self.context().parts.public_url, room)
    }
}

/// The room's websocket at a server of this URL: `http` becomes `ws`, `https` becomes `wss`.
pub(crate) fn room_url(server: &str, room: &RoomName) -> String {
    format!("{}/rooms/{room}", server.replacen("http", "ws", 1))
}

/// The room, and what participants commonly may; who may bind also `secrets`, an admin also the rest.
fn grants(room: &RoomName, own: Grant) -> Vec<TokenGrant> {
    let mut api = json!({
        "livekit": {}, "queues": {}, "messaging": {}, "database": {}, "memory": {}, "sync": {}, "storage": {},
        "containers": {}, "developer": {}, "agents": {}, "services": {},
    });
    if own.bind || own.role == Role::Admin {
        api["secrets"] = json!({});
    }
    if own.role == Role::Admin {
        api["admin"] = json!({});
        api["tunnels"] = json!({});
    }
    let grant = |name: &str, scope| TokenGrant { name: name.to_owned(), scope };
    vec![grant("room", json!(room)), grant("role", json!("user")), grant("api", api)]
}
