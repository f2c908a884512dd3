//! MeshAgent's API key text: `ma-<kid>-<project>-<secret>`.
//!
//! `kid` and `project` are 16 UUID bytes in URL-safe base64 without padding, every `-` of it written as `.`, so 22
//! characters each; the secret is the rest and may hold `-`. The secret is also the HMAC key of participant tokens,
//! so it is kept recoverably (sealed), never hashed.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use uuid::Uuid;

use crate::{
    SecretText,
    id::{ApiKeyId, ProjectId},
};

/// A key's parts.
#[derive(Debug)]
pub struct ApiKeyText {
    /// The key's id.
    pub id: ApiKeyId,
    /// The project it belongs to.
    pub project: ProjectId,
    /// The secret part.
    pub secret: SecretText,
}

/// The text was not an API key. Says nothing about where it went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not an API key (ma-…)")]
pub struct NotAnApiKey;

impl ApiKeyText {
    /// Reads a key.
    ///
    /// # Errors
    /// When the text has another shape.
    pub fn parse(text: &str) -> Result<Self, NotAnApiKey> {
        let mut parts = text.strip_prefix("ma-").ok_or(NotAnApiKey)?.splitn(3, '-');
        let mut next = || parts.next().ok_or(NotAnApiKey);
        let id = ApiKeyId::from_uuid(decode(next()?)?);
        let project = ProjectId::from_uuid(decode(next()?)?);
        let secret = next()?;
        if secret.is_empty() {
            return Err(NotAnApiKey);
        }
        Ok(Self { id, project, secret: secret.into() })
    }

    /// The whole text, for the one time it is shown.
    #[must_use]
    pub fn format(&self) -> SecretText {
        SecretText::new(format!(
            "ma-{}-{}-{}",
            encode(self.id.as_uuid()),
            encode(self.project.as_uuid()),
            self.secret.expose()
        ))
    }
}

fn encode(uuid: Uuid) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(uuid.as_bytes()).replace('-', ".")
}

fn decode(text: &str) -> Result<Uuid, NotAnApiKey> {
    if text.len() != 22 {
        return Err(NotAnApiKey);
    }
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text.replace('.', "-")).map_err(|_| NotAnApiKey)?;
    Uuid::from_slice(&bytes).map_err(|_| NotAnApiKey)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_the_published_example() {
        let key = ApiKeyText::parse("ma-qqqqqru7TMyN3e7u7u7u7g-ERERESIiQzOERFVVVVVVVQ-s3cr3t-with-dashes_…").unwrap();
        assert_eq!(key.id.to_string(), "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee");
        assert_eq!(key.project.to_string(), "11111111-2222-4333-8444-555555555555");
        assert_eq!(key.secret.expose(), "s3cr3t-with-dashes_…");
    }

    #[test]
    fn refuses_what_is_no_key() {
        for text in ["", "ma-", "ma-x-y-z", "mb-qqqqqru7TMyN3e7u7u7u7g-ERERESIiQzOERFVVVVVVVQ-s"] {
            assert!(ApiKeyText::parse(text).is_err(), "{text}");
        }
        assert!(ApiKeyText::parse("ma-qqqqqru7TMyN3e7u7u7u7g-ERERESIiQzOERFVVVVVVVQ-").is_err());
    }

    proptest! {
        #[test]
        fn round_trips(kid: u128, project: u128, secret in "[ -~]{1,80}") {
            let key = ApiKeyText {
                id: ApiKeyId::from_uuid(Uuid::from_u128(kid)),
                project: ProjectId::from_uuid(Uuid::from_u128(project)),
                secret: secret.as_str().into(),
            };
            let read = ApiKeyText::parse(key.format().expose()).unwrap();
            prop_assert_eq!((read.id, read.project), (key.id, key.project));
            prop_assert_eq!(read.secret.expose(), secret);
        }

        #[test]
        fn never_panics(text in ".{0,120}") {
            let _ = ApiKeyText::parse(&text);
        }
    }
}
