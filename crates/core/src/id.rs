//! Identifiers: one type per noun, so that a room's id can never be passed where a secret's is meant.
//!
//! On the wire an id is opaque text; here it is always a UUID in its lower-case hyphenated form.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The text was not an identifier of this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not an identifier (a UUID such as 0198c2f4-7b1e-7c3a-9d55-2f6f0a1b2c3d)")]
pub struct NotAnId;

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// The id that is this UUID.
            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID itself.
            #[must_use]
            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0.hyphenated())
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            /// Accepts only the hyphenated form, so that one object has one spelling in URLs and in the audit.
            fn from_str(text: &str) -> Result<Self, NotAnId> {
                let uuid = Uuid::try_parse(text).map_err(|_| NotAnId)?;
                if uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text {
                    Ok(Self(uuid))
                } else {
                    Err(NotAnId)
                }
            }
        }
    )+};
}

id! {
    /// A project: the tenant.
    ProjectId,
    /// An API key of a project.
    ApiKeyId,
    /// A secret: a secret key or a pull secret.
    SecretId,
    /// A service manifest.
    ServiceId,
    /// A room.
    RoomId,
    /// One active run of a room.
    SessionId,
    /// A rolling restart of a service.
    RestartId,
    /// One running instance of a service's container in one session.
    WorkloadId,
}
