//! What a registry's refusing answer means: a status, headers and a little text become one [`ImageError`].

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use meshkeep_core::{Clock as _, Timestamp, clock::SystemClock};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::dial::Reply;
use crate::{
    error::ImageError,
    host::RegistryHost,
    remote_text::{Hidden, RemoteText},
};

/// Most bytes of a refusing answer that are read.
const MAX_ERROR_BODY: usize = 16 * 1024;

/// The body, at most `max` bytes of it, wiped when dropped.
pub(crate) async fn body(mut reply: Reply, max: usize) -> Result<Zeroizing<Vec<u8>>, ImageError> {
    let host = reply.host.clone();
    let too_large = || ImageError::BadAnswer { host: host.clone(), what: "it is larger than a registry's may be" };
    if reply.response.content_length().is_some_and(|length| length > max as u64) {
        return Err(too_large());
    }
    let mut read = Zeroizing::new(Vec::new());
    while let Some(chunk) = reply.chunk().await? {
        if read.len() + chunk.len() > max {
            return Err(too_large());
        }
        read.extend_from_slice(&chunk);
    }
    Ok(read)
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ErrorBody {
    errors: Vec<OneError>,
    message: Option<String>,
    details: Option<String>,
    error_description: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct OneError {
    message: Option<String>,
}

/// What the registry says in its body, in its own words; empty when it says nothing that can be read.
pub(crate) async fn said(reply: Reply, hidden: Hidden<'_>) -> RemoteText {
    let Ok(bytes) = body(reply, MAX_ERROR_BODY).await else { return RemoteText::default() };
    let parsed: ErrorBody = serde_json::from_slice(&bytes).unwrap_or_default();
    let first = parsed.errors.into_iter().find_map(|error| error.message);
    let text = first.or(parsed.message).or(parsed.details).or(parsed.error_description).unwrap_or_default();
    RemoteText::new(&text, hidden)
}

/// Whether a registry's words mean that the credential was good once.
pub(crate) fn means_expired(said: &RemoteText) -> bool {
    let text = said.as_str().to_ascii_lowercase();
    text.contains("expired") || text.contains("has been revoked")
}

/// Answers that mean the same whoever gives them: limits, failures, nonsense.
pub(crate) fn general(
    status: StatusCode,
    headers: &HeaderMap,
    host: RemoteText,
    registry: &RegistryHost,
    said: RemoteText,
) -> ImageError {
    match status.as_u16() {
        429 => ImageError::RateLimited { registry: registry.clone(), reset: reset_time(headers, SystemClock.now()) },
        500..=599 => ImageError::RegistryFailed { host, status: status.as_u16(), said: said.said() },
        300..=399 => ImageError::BadAnswer { host, what: "a redirect without a target" },
        400 => ImageError::BadAnswer {
            host,
            what: "it calls the request malformed (does it speak https? then it is not insecure)",
        },
        _ => ImageError::BadAnswer { host, what: "a status that has no meaning here" },
    }
}

/// When the limit ends: `Retry-After` (seconds or a date), or the reset headers in use (seconds, or seconds since 1970).
pub(crate) fn reset_time(headers: &HeaderMap, now: Timestamp) -> Option<Timestamp> {
    ["retry-after", "ratelimit-reset", "x-ratelimit-reset", "x-retry-after"]
        .iter()
        .filter_map(|name| headers.get(*name)?.to_str().ok())
        .find_map(|value| moment(value.trim(), now))
}

/// Longest wait that is believed: a month.
const MAX_WAIT: i64 = 31 * 86_400;

fn moment(value: &str, now: Timestamp) -> Option<Timestamp> {
    let seconds_now = now.as_millis() / 1000;
    let wait = match value.parse::<i64>() {
        Ok(number) if number > 1_000_000_000 => number - seconds_now,
        Ok(number) => number,
        Err(_) => jiff::fmt::rfc2822::parse(value).ok()?.timestamp().as_second() - seconds_now,
    };
    (0..=MAX_WAIT).contains(&wait).then(|| now.plus_millis(wait * 1000))
}

/// How long a limited request may wait for its second try; `None` when it is not worth waiting.
pub(crate) fn short_wait(error: &ImageError) -> Option<Duration> {
    let ImageError::RateLimited { reset: Some(reset), .. } = error else { return None };
    let millis = reset.as_millis() - SystemClock.now().as_millis();
    (millis <= 3000).then(|| Duration::from_millis(u64::try_from(millis).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reset_times_are_read_in_all_spellings() {
        let now = Timestamp::from_millis(1_700_000_000_000);
        let reset = |name: &'static str, value: &str| {
            let headers = HeaderMap::from_iter([(http::HeaderName::from_static(name), value.parse().unwrap())]);
            reset_time(&headers, now).map(|at| (at.as_millis() - now.as_millis()) / 1000)
        };
        assert_eq!(reset("retry-after", "120"), Some(120));
        assert_eq!(reset("retry-after", "Tue, 14 Nov 2023 22:15:20 GMT"), Some(120));
        assert_eq!(reset("x-ratelimit-reset", "1700000060"), Some(60));
        assert_eq!(reset("ratelimit-reset", "0"), Some(0));
        for nonsense in ["", "soon", "-5", "99999999999999", "9223372036854775807", "1699999999"] {
            assert_eq!(reset("retry-after", nonsense), None, "{nonsense}");
        }
    }
}
