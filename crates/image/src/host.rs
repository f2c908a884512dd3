//! The name of a registry: `host[:port]`, normalised, so that two spellings of one registry compare equal.
//!
//! What must stay true: the text of a [`RegistryHost`] means the same machine to us and to the URL parser (no `127.1`,
//! no upper case, no user info), and Docker Hub's four spellings are one.

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Serialize};

/// A registry, `host[:port]` in lower case. `docker.io` stands for all spellings of Docker Hub.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RegistryHost(String);

/// Why a text names no registry. The message completes "the registry …".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadHost {
    /// Neither a host name nor an IP address.
    #[error("is not a host name or IP address (letters, digits, '-' and '.', such as registry.example.com)")]
    Name,
    /// The port is no number from 1 to 65535.
    #[error("has a port that is not a number from 1 to 65535")]
    Port,
    /// A path that no image has.
    #[error("has a path that is no beginning of an image's path (such as registry.example.com/acme)")]
    Path,
    /// `user@host`: a credential has its own fields.
    #[error("holds a user name: give user name and password in their own fields")]
    UserInfo,
}

/// Docker Hub's own name, and the host that speaks its API.
const DOCKER_HUB: &str = "docker.io";
const DOCKER_HUB_API: &str = "registry-1.docker.io";
const MAX_HOST: usize = 253;

impl RegistryHost {
    /// The registry that a pull secret's `server` names: scheme and path are stripped, so that
    /// `https://index.docker.io/v1/` is `docker.io`.
    ///
    /// # Errors
    /// What remains is not `host[:port]`.
    pub fn from_server(server: &str) -> Result<Self, BadHost> {
        Self::split_server(server).map(|(host, _)| host)
    }

    /// The same, and what stands behind it: a path, a query, or nothing.
    pub(crate) fn split_server(server: &str) -> Result<(Self, &str), BadHost> {
        let server = server.trim();
        let stripped = ["https://", "http://"]
            .iter()
            .find(|scheme| server.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))
            .map_or(server, |scheme| &server[scheme.len()..]);
        let end = stripped.find(['/', '?', '#']).unwrap_or(stripped.len());
        let (authority, rest) = stripped.split_at(end);
        Ok((authority.parse()?, rest))
    }

    /// `host[:port]`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `host[:port]` that requests go to.
    pub(crate) fn api_authority(&self) -> &str {
        if self.0 == DOCKER_HUB { DOCKER_HUB_API } else { &self.0 }
    }

    /// The host alone: no port, no brackets.
    pub(crate) fn host_name(&self) -> &str {
        if let Some(rest) = self.0.strip_prefix('[') {
            return rest.split(']').next().unwrap_or_default();
        }
        self.0.split(':').next().unwrap_or_default()
    }

    /// The registry name that a URL's host and explicit port spell.
    pub(crate) fn of_url(url: &reqwest::Url) -> Option<Self> {
        let host = url.host_str()?;
        match url.port() {
            Some(port) => format!("{host}:{port}").parse().ok(),
            None => host.parse().ok(),
        }
    }
}

impl FromStr for RegistryHost {
    type Err = BadHost;
    fn from_str(text: &str) -> Result<Self, BadHost> {
        if text.contains('@') {
            return Err(BadHost::UserInfo);
        }
        let (host, port) = split_port(text)?;
        let host = normal_host(host)?;
        let Some(port) = port else {
            return Ok(Self(match host.as_str() {
                "index.docker.io" | DOCKER_HUB_API => DOCKER_HUB.to_owned(),
                _ => host,
            }));
        };
        let digits = !port.is_empty() && port.len() <= 5 && port.bytes().all(|b| b.is_ascii_digit());
        if !digits || port.starts_with('0') || port.parse::<u16>().is_err() {
            return Err(BadHost::Port);
        }
        Ok(Self(format!("{host}:{port}")))
    }
}

fn split_port(text: &str) -> Result<(&str, Option<&str>), BadHost> {
    if text.starts_with('[') {
        let end = text.find(']').ok_or(BadHost::Name)? + 1;
        return match &text[end..] {
            "" => Ok((&text[..end], None)),
            rest => Ok((&text[..end], Some(rest.strip_prefix(':').ok_or(BadHost::Name)?))),
        };
    }
    Ok(text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))))
}

fn normal_host(host: &str) -> Result<String, BadHost> {
    if let Some(literal) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let address: std::net::Ipv6Addr = literal.parse().map_err(|_| BadHost::Name)?;
        // The URL parser's own spelling, which differs from the standard library's for IPv4-mapped addresses.
        let url = reqwest::Url::parse(&format!("http://[{address}]/")).map_err(|_| BadHost::Name)?;
        return Ok(url.host_str().ok_or(BadHost::Name)?.to_owned());
    }
    let host = host.to_ascii_lowercase();
    if let Ok(IpAddr::V4(address)) = host.parse() {
        return Ok(address.to_string());
    }
    let last = host.rsplit('.').next().unwrap_or_default();
    let label_ok = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // A last label that is a number makes URL parsers read an IPv4 address in a spelling of its own.
    let numeric = last.starts_with(|c: char| c.is_ascii_digit())
        && (last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x"));
    if host.len() > MAX_HOST || numeric || !host.split('.').all(label_ok) {
        return Err(BadHost::Name);
    }
    // `xn--` labels that are not valid make the URL parser fail or change the name.
    let url = reqwest::Url::parse(&format!("http://{host}/")).map_err(|_| BadHost::Name)?;
    if url.host_str() == Some(host.as_str()) { Ok(host) } else { Err(BadHost::Name) }
}

impl TryFrom<String> for RegistryHost {
    type Error = BadHost;
    fn try_from(text: String) -> Result<Self, BadHost> {
        text.parse()
    }
}

impl From<RegistryHost> for String {
    fn from(host: RegistryHost) -> Self {
        host.0
    }
}

impl fmt::Display for RegistryHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RegistryHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn docker_hub_has_one_name() {
        for spelling in
            ["docker.io", "index.docker.io", "registry-1.docker.io", "https://index.docker.io/v1/", "Docker.IO"]
        {
            assert_eq!(RegistryHost::from_server(spelling).unwrap().as_str(), "docker.io", "{spelling}");
        }
        assert_ne!(RegistryHost::from_server("docker.io.evil.com").unwrap().as_str(), "docker.io");
        assert_ne!(RegistryHost::from_server("docker.io:444").unwrap().as_str(), "docker.io");
    }

    #[test]
    fn scheme_and_path_are_stripped() {
        let host = |text| RegistryHost::from_server(text).map(String::from);
        assert_eq!(host("HTTPS://Registry.Example.com:5000/v2/team").unwrap(), "registry.example.com:5000");
        assert_eq!(host(" registry ").unwrap(), "registry");
        assert_eq!(host("http://[::1]:5000").unwrap(), "[::1]:5000");
        assert_eq!(host("https://user@registry.example.com"), Err(BadHost::UserInfo));
    }

    #[test]
    fn hosts_that_mean_something_else_to_a_url_parser_are_refused() {
        for bad in [
            "",
            "127.1",
            "2130706433",
            "0x7f.0.0.1",
            "a.0x7f000001",
            "a..b",
            "a.",
            "-a.com",
            "a_b.com",
            "ex ample",
            "[::1",
            "é.com",
        ] {
            assert_eq!(bad.parse::<RegistryHost>(), Err(BadHost::Name), "{bad}");
        }
        for bad in ["a:", "a:0", "a:080", "a:65536", "a:1:2", "a:+5"] {
            assert_eq!(bad.parse::<RegistryHost>(), Err(BadHost::Port), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_means_the_same_to_the_url_parser(text in "[a-z0-9A-Z.:\\-\\[\\]x%@/_]{0,24}") {
            if let Ok(host) = text.parse::<RegistryHost>() {
                let url = reqwest::Url::parse(&format!("foo://{}/", host.as_str())).unwrap();
                let _ = url;
                let url = reqwest::Url::parse(&format!("https://{}/v2/", host.as_str())).unwrap();
                let port = host.as_str().rsplit_once(':').filter(|(_, p)| !p.ends_with(']')).map(|(_, p)| p);
                prop_assert_eq!(url.host_str().unwrap().trim_matches(['[', ']']), host.host_name());
                if let Some(port) = port.filter(|_| url.port().is_some()) {
                    prop_assert_eq!(url.port().unwrap().to_string(), port);
                }
                prop_assert_eq!(url.username(), "");
                prop_assert_eq!(host.as_str().parse::<RegistryHost>().unwrap(), host);
            }
        }
    }
}
