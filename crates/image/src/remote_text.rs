//! Text that a stranger's server supplied, made fit to be shown: bounded, one line, without the credential.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use meshkeep_core::{
    SecretText,
    secret::{PullCredential, REDACTED},
};
use zeroize::Zeroizing;

/// Most bytes of a stranger's text that are shown.
pub(crate) const MAX_SHOWN: usize = 200;
const MAX_SENTENCE: usize = 500;
/// Longest user name that is no token.
const SHORT: usize = 3;

/// What must not be repeated, whoever says it.
#[derive(Clone, Copy, Default)]
pub(crate) struct Hidden<'a> {
    pub credential: Option<&'a PullCredential>,
    pub token: Option<&'a SecretText>,
}

impl<'a> From<Option<&'a PullCredential>> for Hidden<'a> {
    fn from(credential: Option<&'a PullCredential>) -> Self {
        Self { credential, token: None }
    }
}

/// At most 200 bytes, no control characters, and nothing of the credential in any usual spelling.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemoteText(String);

impl RemoteText {
    /// From a stranger's `text` (bounded by the caller), which may repeat what it was sent.
    pub(crate) fn new<'a>(text: &str, hidden: impl Into<Hidden<'a>>) -> Self {
        Self::of_length(MAX_SHOWN, text, hidden.into())
    }

    /// The same with at most 500 bytes, for our own sentences that hold a stranger's name.
    pub(crate) fn sentence<'a>(text: &str, hidden: impl Into<Hidden<'a>>) -> Self {
        Self::of_length(MAX_SENTENCE, text, hidden.into())
    }

    fn of_length(max: usize, text: &str, hidden: Hidden<'_>) -> Self {
        // Scrubbed before it is cut to the bound, so that no beginning of a secret is left at the end.
        let scrubbed = scrub(text, hidden);
        let line: String = scrubbed.chars().map(|c| if is_unfit(c) { ' ' } else { c }).collect();
        Self(cut(line.trim(), max).to_owned())
    }

    /// As the end of a sentence: `: "text"`, or nothing.
    pub(crate) fn said(self) -> Self {
        if self.0.is_empty() { self } else { Self(format!(": \"{}\"", self.0.replace('"', "'"))) }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Control characters and those that turn or hide text.
fn is_unfit(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn cut(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

fn scrub(text: &str, hidden: Hidden<'_>) -> String {
    let mut secrets: Vec<Zeroizing<String>> = Vec::new();
    if let Some(credential) = hidden.credential {
        let (user, password) = (credential.username.expose(), credential.password.expose());
        secrets.extend([format!("{user}:{password}"), password.to_owned()].map(Zeroizing::new));
        // A user name may be a token, but no short one is; hiding those would only make the text unreadable.
        secrets.extend((user.len() > SHORT).then(|| Zeroizing::new(user.to_owned())));
    }
    secrets.extend(hidden.token.map(|token| Zeroizing::new(token.expose().to_owned())));
    let mut spellings: Vec<Zeroizing<String>> = secrets.iter().flat_map(|secret| spellings(secret)).collect();
    spellings.retain(|spelling| !spelling.is_empty());
    spellings.sort_by_key(|spelling| std::cmp::Reverse(spelling.len()));
    spellings.iter().fold(text.to_owned(), |text, spelling| text.replace(spelling.as_str(), REDACTED))
}

/// As it is, in lower case (host names), percent-encoded, and in base64 with and without padding.
fn spellings(secret: &str) -> [Zeroizing<String>; 5] {
    let base64 = STANDARD.encode(secret);
    let bare = base64.trim_end_matches('=').to_owned();
    [secret.to_owned(), secret.to_ascii_lowercase(), percent_encoded(secret), bare, base64].map(Zeroizing::new)
}

fn percent_encoded(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

impl fmt::Display for RemoteText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn credential(username: &str, password: &str) -> PullCredential {
        PullCredential { server: "r.example".into(), username: username.into(), password: password.into() }
    }

    #[test]
    fn is_one_bounded_line() {
        let text = RemoteText::new(&format!("a\r\n\u{1b}[31mred\u{202e} {}", "ü".repeat(500)), None);
        assert!(text.as_str().len() <= MAX_SHOWN);
        assert!(text.as_str().starts_with("a   [31mred  ü"), "{text}");
        assert_eq!(RemoteText::new("say \"hi\"\n", None).said().as_str(), ": \"say 'hi'\"");
        assert_eq!(RemoteText::new(" \n", None).said().as_str(), "");
    }

    proptest! {
        #[test]
        fn nothing_of_the_credential_is_left(
            username in "[a-z]{5,12}", password in "[!-~]{6,40}", before in "[ A-Z]{0,30}", after in "[ A-Z]{0,300}",
        ) {
            let credential = credential(&username, &password);
            let pair = format!("{username}:{password}");
            let echo = format!("{before}{pair} {password} {} {} {after}", STANDARD.encode(&pair), STANDARD.encode(&password));
            let shown = RemoteText::new(&echo, Some(&credential));
            // A password that is part of the word [redacted] itself cannot be told from it.
            prop_assume!(!REDACTED.contains(&password) && !REDACTED.contains(&username));
            prop_assert!(!shown.as_str().contains(&password));
            prop_assert!(!shown.as_str().contains(&STANDARD.encode(&pair)));
            prop_assert!(!shown.as_str().contains(&STANDARD.encode(&password)));
            prop_assert!(shown.as_str().len() <= MAX_SHOWN);
        }
    }
}
