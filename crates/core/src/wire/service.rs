//! Services: the manifest is its own shape.

use serde::{Deserialize, Serialize};

use crate::{
    environment::{Environment, Origin},
    name::{EntryName, SecretName},
    service::ServiceSpec,
};

/// `GET B`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ServiceList {
    /// In name order.
    pub services: Vec<ServiceSpec>,
}

/// `POST B/environment`: what a service of this manifest would find in its environment, without values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvironmentPreview {
    /// In name order. The image's own variables are known only at the launch; they are hidden by all others.
    pub variables: Vec<PreviewedVariable>,
}

/// One variable, without its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviewedVariable {
    /// Its name.
    pub name: EntryName,
    /// Where its value comes from.
    #[serde(flatten)]
    pub from: VariableSource,
    /// Whose values it hides, lowest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hides: Vec<VariableSource>,
}

/// Where a variable comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "lowercase")]
pub enum VariableSource {
    /// The image's `ENV`.
    Image,
    /// meshkeep.
    Platform,
    /// A secret key.
    Secret {
        /// Its name.
        secret: SecretName,
    },
    /// A token or a key that meshkeep makes for the service.
    Issued,
    /// A secret of a participant of the room.
    #[serde(rename = "room_secret")]
    RoomSecret,
    /// The manifest's `environment`.
    Manifest,
}

impl From<Origin> for VariableSource {
    fn from(origin: Origin) -> Self {
        match origin {
            Origin::Image => Self::Image,
            Origin::Platform => Self::Platform,
            Origin::Secret(secret) => Self::Secret { secret },
            Origin::Issued => Self::Issued,
            Origin::RoomSecret => Self::RoomSecret,
            Origin::Manifest | Origin::Sealed => Self::Manifest,
        }
    }
}

impl From<Environment> for EnvironmentPreview {
    fn from(environment: Environment) -> Self {
        let previewed = |variable: crate::environment::Variable| PreviewedVariable {
            name: variable.name,
            from: variable.origin.into(),
            hides: variable.hides.into_iter().map(Into::into).collect(),
        };
        Self { variables: environment.0.into_iter().map(previewed).collect() }
    }
}
