//! The URL of the server, as its operator states it.

use super::usage;
use crate::failure::Failure;

/// Without a slash at its end.
///
/// # Errors
/// What more than scheme, host, port and path is in it.
pub(super) fn checked_url(url: &str) -> Result<String, Failure> {
    let bad = || usage("`public_url` is not an http or https URL without user, query and fragment");
    let parsed = reqwest::Url::parse(url).map_err(|_| bad())?;
    let plain = parsed.username().is_empty() && parsed.password().is_none();
    let ends = parsed.query().is_none() && parsed.fragment().is_none();
    if !matches!(parsed.scheme(), "http" | "https") || !plain || !ends || parsed.host().is_none() {
        return Err(bad());
    }
    Ok(url.trim_end_matches('/').to_owned())
}

/// Whether a URL means the machine that reads it.
pub(super) fn is_loopback(url: &str) -> bool {
    match reqwest::Url::parse(url).ok().as_ref().and_then(url::Url::host) {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback() || address.is_unspecified(),
        Some(url::Host::Ipv6(address)) => {
            let v4 = address.to_ipv4_mapped();
            address.is_loopback() || address.is_unspecified() || v4.is_some_and(|v4| v4.is_loopback())
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_plain() {
        assert_eq!(
            checked_url("https://mesh.example/x/").map_err(|failure| failure.to_string()).unwrap(),
            "https://mesh.example/x"
        );
        for bad in ["ftp://x", "https://u:p@x", "https://x?a", "x"] {
            assert!(checked_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn loopback_has_many_spellings() {
        for url in
            ["localhost:9", "LOCALHOST", "a.localhost", "127.9.9.9", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "0x7f.1"]
        {
            assert!(is_loopback(&format!("http://{url}")), "{url}");
        }
        for url in ["mesh.example", "192.0.2.1", "[2001:db8::1]", "localhost.example"] {
            assert!(!is_loopback(&format!("http://{url}")), "{url}");
        }
    }
}
