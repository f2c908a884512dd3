//! From a token to a participant of one room.

use meshkeep_core::{
    Refusal, RefusalKind,
    access::{Action, Grant, Role},
    id::{ProjectId, ServiceId},
    name::{DisplayName, RoomName},
    participant::ApiScope,
};

use crate::{Caller, Control, Identity, Origin, ops::Holder, refusals::unauthenticated};

/// Somebody with a good token for a room.
#[derive(Clone, Debug)]
pub struct Participant {
    /// As the audit and the rights know it. Its grant is the bound; what it may in the room is less.
    pub(crate) caller: Caller,
    /// What its token allows.
    pub(crate) scope: ApiScope,
    /// The room.
    pub(crate) room: RoomName,
    /// Under which name others see it.
    pub(crate) name: DisplayName,
    /// `user`, `agent` or `tool`.
    pub(crate) role: String,
    /// Started by the platform: it keeps no session open.
    pub(crate) is_platforms: bool,
}

impl Participant {
    /// How the access log names it.
    #[must_use]
    pub fn log_id(&self) -> String {
        self.caller.log_id()
    }

    /// The project.
    #[must_use]
    pub const fn project(&self) -> ProjectId {
        self.caller.project()
    }

    /// The service whose own token this is.
    pub(crate) const fn own_service(&self) -> Option<ServiceId> {
        match self.caller.identity() {
            Identity::Service { service, .. } => Some(*service),
            _ => None,
        }
    }

    /// Both must allow it: what the token says and the key that signed it.
    ///
    /// # Errors
    /// `Forbidden`.
    pub(crate) fn may(&self, by_scope: bool, member: &str, action: Action) -> Result<(), Refusal> {
        if !by_scope {
            let message = format!("the token's `api` grant has no `{member}` that allows this");
            return Err(Refusal::new(RefusalKind::Forbidden, "not_allowed", message)
                .hint("sign a token with that grant, or ask who signed it"));
        }
        self.caller.may(self.project(), action)
    }
}

impl Control {
    /// Who wants to join a room with this token.
    ///
    /// # Errors
    /// `Unauthenticated`, in the same words whatever is wrong with it; `Forbidden` for another room's token.
    pub async fn participant(&self, token: &str, room: &RoomName, origin: Origin) -> Result<Participant, Refusal> {
        let Holder { identity, project, limit, claims } = self.holder(token).await?;
        let scope = claims.api().map_err(|_| unauthenticated())?;
        if claims.text("room") != Some(room.as_str()) {
            let message = "the token was not made for this room";
            return Err(Refusal::new(RefusalKind::Forbidden, "other_room", message)
                .hint("get one with `POST …/rooms/{room}/connect`, or sign one with a `room` grant of this name"));
        }
        let name = claims.name.parse().map_err(|why| Refusal::invalid("name", why))?;
        let role = claims.text("role").unwrap_or("user").to_owned();
        if !["user", "agent", "tool"].contains(&role.as_str()) {
            return Err(Refusal::invalid("role", "must be `user`, `agent` or `tool`"));
        }
        let grant = in_room(&scope, limit);
        let is_platforms = claims.platform || matches!(identity, Identity::Service { .. });
        let caller = Caller::new(identity, project, grant, origin);
        Ok(Participant { caller, scope, room: room.clone(), name, role, is_platforms })
    }
}

/// The bound in the room: that of what signed the token, without what the token does not ask for.
fn in_room(scope: &ApiScope, limit: Grant) -> Grant {
    let is_admin = scope.admin.is_some();
    let asked =
        Grant { role: if is_admin { Role::Admin } else { Role::Developer }, bind: is_admin || scope.secrets.is_some() };
    asked.intersect(limit)
}
