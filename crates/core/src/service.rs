//! The service manifest (`kind: Service`, `version: v1`): MeshAgent's shape, member for member.
//!
//! Unknown members are refused by name. What is not set is not written back, because clients refuse members that
//! their version does not know. Meaning is checked by [`ServiceSpec::check`], not by the shape.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// `version`: only `v1` exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SpecVersion {
    /// The only version.
    #[serde(rename = "v1")]
    V1,
}

/// `kind` of a service manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServiceKind {
    /// The only kind.
    Service,
}

macro_rules! manifest {
    ($($(#[$doc:meta])* struct $name:ident { $($(#[$fmeta:meta])* $field:ident : $ty:ty,)* })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name { $($(#[$fmeta])* pub $field: $ty,)* }
    )+};
}

manifest! {
    /// A whole manifest.
    struct ServiceSpec {
        /// `v1`.
        version: SpecVersion,
        /// `Service`.
        kind: ServiceKind,
        /// Set by the server, ignored on create.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// Name and description.
        metadata: Metadata,
        /// Participant identities the service offers.
        #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
        agents: Vec<AgentSpec>,
        /// Ports the service listens on.
        #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
        ports: Vec<PortSpec>,
        /// Files for the room's storage (clients from 0.39); not offered.
        #[serde(default, deserialize_with = "empty_is_none", skip_serializing_if = "Option::is_none")]
        files: Option<serde_json::Value>,
        /// What to run.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        container: Option<ContainerSpec>,
        /// A service hosted elsewhere.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        external: Option<ExternalSpec>,
    }

    /// `metadata`.
    #[derive(Default)]
    struct Metadata {
        /// Unique within the scope.
        name: String,
        /// One line for people.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        description: Option<String>,
        /// Where the source is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        repo: Option<String>,
        /// An icon's URL.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        icon: Option<String>,
        /// Free text by name.
        #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "BTreeMap::is_empty")]
        annotations: BTreeMap<String, String>,
    }

    /// One of `agents`.
    struct AgentSpec {
        /// The identity.
        name: String,
        /// One line for people.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        description: Option<String>,
        /// Free text by name.
        #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "BTreeMap::is_empty")]
        annotations: BTreeMap<String, String>,
        /// Where it can be spoken to (clients from 0.34): `messaging` and `toolkit` are kept as they are.
        #[serde(default, deserialize_with = "empty_is_none", skip_serializing_if = "Option::is_none")]
        channels: Option<serde_json::Value>,
        /// A mailbox; not offered.
        #[serde(default, deserialize_with = "empty_is_none", skip_serializing_if = "Option::is_none")]
        email: Option<serde_json::Value>,
        /// A scheduled prompt; not offered.
        #[serde(default, deserialize_with = "empty_is_none", skip_serializing_if = "Option::is_none")]
        heartbeat: Option<serde_json::Value>,
    }

    /// `external`.
    struct ExternalSpec {
        /// Where it answers.
        url: String,
    }

    /// `container`.
    #[derive(Default)]
    struct ContainerSpec {
        /// The image reference.
        image: String,
        /// The whole command line, split as a shell would split words; the image's own when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        command: Option<String>,
        /// Absolute path.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        working_dir: Option<String>,
        /// Explicit variables; they win over everything.
        #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
        environment: Vec<EnvironmentEntry>,
        /// Ids of the secret keys that are bound, in order; a later one wins.
        #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
        secrets: Vec<String>,
        /// Id of the pull secret.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pull_secret: Option<String>,
        /// Mounts.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        storage: Option<StorageSpec>,
        /// An API key to provision for the service.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        api_key: Option<ApiKeySpec>,
        /// Only started when asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        on_demand: Option<bool>,
        /// Whether the root file system may be written (lost at the end).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        writable_root_fs: Option<bool>,
        /// Interactive access limited to the owning service; true when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        private: Option<bool>,
    }

    /// One of `environment`: a name and one of value, token, secret.
    struct EnvironmentEntry {
        /// The variable's name.
        name: String,
        /// A literal value, never interpolated.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        value: Option<String>,
        /// A participant token, minted at launch.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token: Option<TokenSource>,
        /// A room secret.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        secret: Option<RoomSecretSource>,
    }

    /// `environment[].token`.
    struct TokenSource {
        /// The participant's name.
        identity: String,
        /// What the token may do.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        api: Option<serde_json::Value>,
        /// The participant's role.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        role: Option<String>,
    }

    /// `environment[].secret`.
    struct RoomSecretSource {
        /// Whose secret.
        identity: String,
        /// Which one.
        id: String,
    }

    /// `container.api_key`.
    struct ApiKeySpec {
        /// `admin` is the only role the shape knows.
        role: String,
        /// The key's name.
        name: String,
        /// Whether to make it when it is not there; true when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        auto_provision: Option<bool>,
    }

    /// `container.storage`.
    #[derive(Default)]
    struct StorageSpec {
        /// Room storage.
        #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
        room: Vec<StorageMount>,
        /// Project storage.
        #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
        project: Vec<StorageMount>,
        /// Other images, read-only.
        #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
        images: Vec<ImageMount>,
        /// Files given in the manifest.
        #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
        files: Vec<FileMount>,
        /// Empty writable directories in memory.
        #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
        empty_dirs: Vec<EmptyDirMount>,
        /// The original's own configuration files (clients from 0.39); not offered.
        #[serde(default, deserialize_with = "empty_is_none", skip_serializing_if = "Option::is_none")]
        configs: Option<serde_json::Value>,
    }

    /// One of `storage.room` or `storage.project`.
    struct StorageMount {
        /// Where in the container.
        path: String,
        /// Which part of the storage.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subpath: Option<String>,
        /// Whether it may be written.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        read_only: Option<bool>,
    }

    /// One of `storage.images`.
    struct ImageMount {
        /// The image reference.
        image: String,
        /// Where in the container.
        path: String,
        /// Which part of the image.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subpath: Option<String>,
        /// Always true here.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        read_only: Option<bool>,
    }

    /// One of `storage.files`.
    struct FileMount {
        /// Where in the container.
        path: String,
        /// The content.
        text: String,
        /// Whether it may be written.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        read_only: Option<bool>,
    }

    /// One of `storage.empty_dirs`.
    struct EmptyDirMount {
        /// Where in the container.
        path: String,
        /// Whether it may be written.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        read_only: Option<bool>,
    }

    /// One of `ports`.
    #[derive(Default)]
    struct PortSpec {
        /// The number, or `"*"` for one that the platform picks.
        #[serde(default)]
        num: PortNum,
        /// `http` or `tcp`; `http` when absent.
        #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
        r#type: Option<PortType>,
        /// A path that must answer 200 before the service counts as ready.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        liveness: Option<String>,
        /// Reachable from outside through meshkeep.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        published: Option<bool>,
        /// Reachable without a participant token.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        public: Option<bool>,
        /// Free text by name.
        #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "BTreeMap::is_empty")]
        annotations: BTreeMap<String, String>,
        /// What answers under which path.
        #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
        endpoints: Vec<EndpointSpec>,
        /// Old clients' member; accepted and without effect.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        host_port: Option<u16>,
    }

    /// One of `ports[].endpoints`.
    struct EndpointSpec {
        /// The path.
        path: String,
        /// Called at start with a room token.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        meshagent: Option<TokenSource>,
        /// An MCP server; kept as given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mcp: Option<serde_json::Value>,
        /// Free text by name.
        #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "BTreeMap::is_empty")]
        annotations: BTreeMap<String, String>,
    }
}

impl ServiceSpec {
    /// A manifest of a name and an empty container, which passes no check: what stands for one that cannot be read.
    #[must_use]
    pub fn bare(name: &str) -> Self {
        Self {
            version: SpecVersion::V1,
            kind: ServiceKind::Service,
            id: None,
            metadata: Metadata { name: name.to_owned(), ..Metadata::default() },
            agents: Vec::new(),
            ports: Vec::new(),
            files: None,
            container: Some(ContainerSpec::default()),
            external: None,
        }
    }
}

/// `ports[].type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PortType {
    /// HTTP.
    Http,
    /// Any TCP protocol.
    Tcp,
}

/// `ports[].num`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum PortNum {
    /// `"*"`: the platform picks one and tells the process in `MESHAGENT_PORT`.
    #[default]
    Any,
    /// A stated port.
    Fixed(u16),
}

impl PortNum {
    /// The number, when it is stated.
    #[must_use]
    pub const fn stated(self) -> Option<u16> {
        match self {
            Self::Any => None,
            Self::Fixed(number) => Some(number),
        }
    }
}

impl Serialize for PortNum {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Any => serializer.serialize_str("*"),
            Self::Fixed(n) => serializer.serialize_u16(*n),
        }
    }
}

impl<'de> Deserialize<'de> for PortNum {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = PortNum;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a port from 1 to 65535 or \"*\"")
            }
            fn visit_u64<E: serde::de::Error>(self, n: u64) -> Result<PortNum, E> {
                match u16::try_from(n) {
                    Ok(n) if n > 0 => Ok(PortNum::Fixed(n)),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Unsigned(n), &self)),
                }
            }
            fn visit_i64<E: serde::de::Error>(self, n: i64) -> Result<PortNum, E> {
                match u64::try_from(n) {
                    Ok(n) => self.visit_u64(n),
                    Err(_) => Err(E::invalid_value(serde::de::Unexpected::Signed(n), &self)),
                }
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<PortNum, E> {
                if text == "*" {
                    return Ok(PortNum::Any);
                }
                match text.parse() {
                    Ok(n) => self.visit_u64(n),
                    Err(_) => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
                }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// What is written and says nothing, as full dumps do, is not there.
fn empty_is_none<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<serde_json::Value>, D::Error> {
    use serde_json::Value;
    let says_nothing = |value: &Value| match value {
        Value::Null => true,
        Value::Array(all) => all.is_empty(),
        Value::Object(all) => all.values().all(Value::is_null),
        _ => false,
    };
    Ok(Option::<Value>::deserialize(deserializer)?.filter(|value| !says_nothing(value)))
}

/// Full dumps write explicit nulls for lists and maps that are not set.
fn null_is_empty<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}
