//! What participants say to each other, and the developers' log.

use meshkeep_core::{
    Refusal, RefusalKind,
    participant::{ApiScope, Messaging},
};
use serde_json::{Map, Value};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::Member;

impl Member {
    /// Sees the others and is seen from now on.
    ///
    /// # Errors
    /// `Forbidden`.
    pub fn enable_messaging(&self) -> Result<(), Refusal> {
        self.messaging(|messaging| messaging.list)?;
        self.control.context().presence.show(self.session, self.id);
        Ok(())
    }

    /// The end of that.
    pub fn disable_messaging(&self) {
        self.control.context().presence.hide(self.session, self.id);
    }

    /// Sends to one participant.
    ///
    /// # Errors
    /// `Forbidden`; `NotFound` when nobody with messaging has this id.
    pub fn send_message(&self, to: &str, kind: &str, message: Value, data: &[u8]) -> Result<(), Refusal> {
        self.messaging(|messaging| messaging.send)?;
        let presence = &self.control.context().presence;
        let found = to.parse::<Uuid>().ok().filter(|to| presence.send(self.session, self.id, *to, kind, message, data));
        found.map(drop).ok_or_else(|| {
            Refusal::new(RefusalKind::NotFound, "not_found", "no participant of this id has messaging enabled")
                .hint("it may have left")
        })
    }

    /// Sends to all others with messaging.
    ///
    /// # Errors
    /// `Forbidden`.
    pub fn broadcast_message(&self, kind: &str, message: Value, data: &[u8]) -> Result<(), Refusal> {
        self.messaging(|messaging| messaging.broadcast)?;
        self.control.context().presence.broadcast(self.session, self.id, kind, message, data);
        Ok(())
    }

    /// Changes what others see of it.
    ///
    /// # Errors
    /// `Invalid`, when that is too much.
    pub fn set_attributes(&self, changed: Map<String, Value>) -> Result<(), Refusal> {
        self.control.context().presence.set_attributes(self.session, self.id, changed)
    }

    /// Writes to the developers' log: those that read it now are told, it is kept nowhere.
    ///
    /// # Errors
    /// `Forbidden`; `Invalid` for what is too large.
    pub fn log(&self, kind: &str, data: &Value) -> Result<(), Refusal> {
        self.developer(|_| true)?;
        self.control.context().presence.log(self.session, kind, data)
    }

    /// Begins or ends reading the developers' log.
    ///
    /// # Errors
    /// `Forbidden`.
    pub fn watch_log(&self, watches: bool) -> Result<(), Refusal> {
        self.developer(|developer| developer.logs)?;
        self.control.context().presence.watch(self.session, self.id, watches);
        Ok(())
    }

    /// The developers' log as a stream, until it is dropped.
    ///
    /// # Errors
    /// `Forbidden`.
    pub fn follow_log(&self) -> Result<mpsc::Receiver<(String, Value)>, Refusal> {
        self.developer(|developer| developer.logs)?;
        Ok(self.control.context().presence.read_log(self.session, self.id))
    }

    fn messaging(&self, allowed: impl Fn(&Messaging) -> bool) -> Result<(), Refusal> {
        let ApiScope { messaging, .. } = &self.participant.scope;
        self.participant.may(messaging.as_ref().is_some_and(allowed), "messaging", LOOK)
    }

    fn developer(&self, allowed: impl Fn(&meshkeep_core::participant::Developer) -> bool) -> Result<(), Refusal> {
        let ApiScope { developer, .. } = &self.participant.scope;
        self.participant.may(developer.as_ref().is_some_and(allowed), "developer", LOOK)
    }
}

/// Whoever may look at the room may speak in it, as far as its token says.
const LOOK: meshkeep_core::access::Action = meshkeep_core::access::Action::Look;
