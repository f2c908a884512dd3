//! What a participant token allows within its room: MeshAgent's `ApiScope`, member for member as far as it means
//! something here. A member that is absent or null is denied; within a member, what is not said is the client's default.

use serde::{Deserialize, Serialize};

/// The `api` grant of a token. Members of what this server does not offer are read over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ApiScope {
    /// Messages to other participants.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messaging: Option<Messaging>,
    /// Containers of the session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub containers: Option<Containers>,
    /// The room's log for developers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub developer: Option<Developer>,
    /// The room's services.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub services: Option<Services>,
    /// One's own secrets in the room.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secrets: Option<Any>,
    /// The project's API, and other participants' secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin: Option<Any>,
}

/// A member of which only the presence counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Any {}

macro_rules! switches {
    ($($(#[$doc:meta])* struct $name:ident { $($(#[$fdoc:meta])* $field:ident,)+ })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct $name { $($(#[$fdoc])* pub $field: bool,)+ }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: true,)+ }
            }
        }
    )+};
}

switches! {
    /// `messaging`.
    struct Messaging {
        /// To all.
        broadcast,
        /// See who is there.
        list,
        /// To one.
        send,
    }

    /// `developer`.
    struct Developer {
        /// Read the log of developers.
        logs,
    }

    /// `services`.
    struct Services {
        /// See them.
        list,
    }
}

/// `containers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Containers {
    /// Read their logs.
    pub logs: bool,
    /// Images that may be pulled, by their beginning; any when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull: Option<Vec<String>>,
    /// Images that may be run, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<Vec<String>>,
    /// Anything at all.
    pub use_containers: bool,
}

impl Default for Containers {
    fn default() -> Self {
        Self { logs: true, pull: None, run: None, use_containers: true }
    }
}

impl Containers {
    /// Whether this image may be pulled.
    #[must_use]
    pub fn may_pull(&self, image: &str) -> bool {
        self.use_containers && names(self.pull.as_deref(), image)
    }

    /// Whether this image may be run.
    #[must_use]
    pub fn may_run(&self, image: &str) -> bool {
        self.use_containers && names(self.run.as_deref(), image)
    }
}

/// A name is meant as a whole, one with `*` at its end as a beginning.
fn names(list: Option<&[String]>, image: &str) -> bool {
    list.is_none_or(|list| {
        list.iter().any(|name| match name.strip_suffix('*') {
            Some(beginning) => image.starts_with(beginning),
            None => image == name,
        })
    })
}

impl ApiScope {
    /// What agents are given when a manifest does not say: all but `admin` and `secrets`.
    #[must_use]
    pub fn agent_default() -> Self {
        Self {
            messaging: Some(Messaging::default()),
            containers: Some(Containers::default()),
            developer: Some(Developer::default()),
            services: Some(Services::default()),
            secrets: None,
            admin: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn scope(json: serde_json::Value) -> ApiScope {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn absent_is_denied_and_empty_is_the_default() {
        let empty = scope(json!({}));
        assert_eq!(empty, ApiScope::default());
        let all =
            json!({"messaging": {}, "containers": {}, "developer": {}, "services": {}, "secrets": null, "queues": {}});
        assert_eq!(scope(all), ApiScope::agent_default());
        let some = scope(json!({"containers": {"logs": false}, "services": {"list": false}}));
        assert!(some.containers.is_some_and(|containers| !containers.logs && containers.use_containers));
        assert!(some.services.is_some_and(|services| !services.list) && some.admin.is_none());
    }

    #[test]
    fn images_are_named_whole_or_by_their_beginning() {
        let containers = Containers { run: Some(vec!["acme/a".into(), "acme/b*".into()]), ..Containers::default() };
        assert!(containers.may_run("acme/a") && containers.may_run("acme/b:1") && containers.may_pull("x"));
        assert!(!containers.may_run("acme/a:1") && !containers.may_run("x"));
        assert!(!Containers { use_containers: false, ..Containers::default() }.may_run("x"));
    }
}
