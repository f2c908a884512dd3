//! Services: the manifest is its own shape.

use serde::{Deserialize, Serialize};

use crate::service::ServiceSpec;

/// `GET B`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ServiceList {
    /// In name order.
    pub services: Vec<ServiceSpec>,
}
