//! What the operator says about registries. Also the allow list for addresses that are otherwise refused.

use std::{collections::BTreeMap, path::PathBuf};

use reqwest::Url;
use serde::Deserialize;

use crate::{
    credential::{registry_base, same_origin},
    host::{BadHost, RegistryHost},
};

/// `[registry."host"]` sections, by normalised `host[:port]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegistrySettings {
    /// Hosts that are not wholly ordinary.
    pub hosts: BTreeMap<RegistryHost, HostSettings>,
    /// Names that tests resolve themselves.
    #[cfg(any(test, feature = "testing"))]
    pub names: crate::testing::Names,
    /// How long a registry may be silent, when a test does not want to wait as long as a person would.
    #[cfg(any(test, feature = "testing"))]
    pub silence: Option<std::time::Duration>,
}

/// One `[registry."host"]` section.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HostSettings {
    /// PEM file with certificates that are trusted besides the system's.
    pub ca_file: Option<PathBuf>,
    /// `host[:port]` of the token service, when it is not on the registry's own domain.
    pub token_service: Option<String>,
    /// Whether loopback, private and link-local addresses may be dialled for this host.
    pub allow_private: bool,
    /// Plain http instead of https; implies `allow_private`.
    pub insecure: bool,
}

impl RegistrySettings {
    /// These sections.
    #[must_use]
    pub fn new(hosts: BTreeMap<RegistryHost, HostSettings>) -> Self {
        Self {
            hosts,
            #[cfg(any(test, feature = "testing"))]
            names: crate::testing::Names::default(),
            #[cfg(any(test, feature = "testing"))]
            silence: None,
        }
    }

    /// The section of `host`, or an ordinary host's.
    #[must_use]
    pub fn host(&self, host: &RegistryHost) -> HostSettings {
        self.hosts.get(host).cloned().unwrap_or_default()
    }

    /// The first section that cannot be meant, and why.
    pub(crate) fn fault(&self) -> Option<(&RegistryHost, BadHost)> {
        self.hosts.iter().find_map(|(host, section)| {
            let named = section.token_service.as_deref()?;
            RegistryHost::from_server(named).err().map(|why| (host, why))
        })
    }

    /// What holds for a request to `url` on behalf of `registry`: the section of the URL's own host and port.
    pub(crate) fn for_url(&self, registry: &RegistryHost, url: &Url) -> HostSettings {
        if same_origin(url, &registry_base(registry, self)) {
            return self.host(registry);
        }
        RegistryHost::of_url(url).map(|host| self.host(&host)).unwrap_or_default()
    }

    /// What holds for a registry's token service: its own section, or else, when it is on the registry's host or named
    /// by the operator, the registry's.
    pub(crate) fn for_token_service(&self, registry: &RegistryHost, url: &Url) -> HostSettings {
        let Some(host) = RegistryHost::of_url(url) else { return HostSettings::default() };
        if let Some(own) = self.hosts.get(&host) {
            return own.clone();
        }
        let section = self.host(registry);
        let named = named_token_service(&section) == Some(host.clone());
        if named || host.host_name() == registry.host_name() { section } else { HostSettings::default() }
    }
}

/// The token service that the operator names for a registry.
pub(crate) fn named_token_service(section: &HostSettings) -> Option<RegistryHost> {
    RegistryHost::from_server(section.token_service.as_deref()?).ok()
}

impl HostSettings {
    /// Whether addresses inside the operator's network may be dialled.
    pub(crate) const fn may_be_private(&self) -> bool {
        self.allow_private || self.insecure
    }
}
