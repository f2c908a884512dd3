//! How each registry wants to be asked, so that the next request brings its proof along. Holds nothing secret.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use crate::{
    challenge::{Bearer, Challenge},
    host::RegistryHost,
};

/// The token service that a registry named last; judged anew whenever it is asked.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Remembered {
    pub realm: String,
    pub service: Option<String>,
}

/// How a registry wants to be asked.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Scheme {
    Basic,
    Bearer(Remembered),
}

impl From<Challenge> for Scheme {
    fn from(challenge: Challenge) -> Self {
        match challenge {
            Challenge::Basic => Self::Basic,
            Challenge::Bearer(Bearer { realm, service, .. }) => Self::Bearer(Remembered { realm, service }),
        }
    }
}

const MAX_REMEMBERED: usize = 1024;

/// The last scheme of each registry.
#[derive(Default)]
pub(crate) struct Schemes(Mutex<HashMap<RegistryHost, Scheme>>);

impl Schemes {
    pub fn get(&self, registry: &RegistryHost) -> Option<Scheme> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(registry).cloned()
    }

    pub fn put(&self, registry: &RegistryHost, scheme: &Scheme) {
        let mut schemes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if schemes.len() >= MAX_REMEMBERED {
            schemes.clear();
        }
        schemes.insert(registry.clone(), scheme.clone());
    }
}
