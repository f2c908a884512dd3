//! Reads `WWW-Authenticate`: what a registry asks for. The text is a stranger's: bounded, and only read here.
//!
//! Whether a realm may be asked is not decided here; see `credential`.

/// One challenge that we know how to meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// User name and password with each request.
    Basic,
    /// A token from a token service.
    Bearer(Bearer),
}

/// What a token is asked for, and what was wrong with the last one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bearer {
    /// URL of the token service, as the registry wrote it.
    pub realm: String,
    /// The name under which the token service knows the registry.
    pub service: Option<String>,
    /// `error`, such as `insufficient_scope`.
    pub error: Option<String>,
    /// `error_description`.
    pub description: Option<String>,
}

/// Longest header that is read.
const MAX_HEADER: usize = 8 * 1024;

/// All known challenges of the headers' values, in their order. Bearer challenges without a realm are left out.
pub(crate) fn parse<'a>(values: impl Iterator<Item = &'a str>) -> Vec<Challenge> {
    values.filter(|value| value.len() <= MAX_HEADER).flat_map(parse_one).collect()
}

/// The challenge to meet: a token when one is offered, for it says less than the password.
pub(crate) fn choose(challenges: Vec<Challenge>) -> Option<Challenge> {
    let bearer = challenges.iter().position(|challenge| matches!(challenge, Challenge::Bearer(_)));
    challenges.into_iter().nth(bearer.unwrap_or(0))
}

fn parse_one(value: &str) -> Vec<Challenge> {
    let mut found = Vec::new();
    let mut scanner = Scanner { rest: value };
    let mut scheme: Option<(String, Bearer)> = None;
    while let Some(word) = scanner.token() {
        // `word =` is a parameter of the current scheme; a word alone begins the next challenge.
        if let Some(parameter) = scanner.value() {
            if let Some((_, bearer)) = &mut scheme {
                set(bearer, word, parameter);
            }
        } else {
            found.extend(scheme.take().and_then(finish));
            scheme = Some((word.to_ascii_lowercase(), Bearer::default()));
        }
    }
    found.extend(scheme.and_then(finish));
    found
}

fn finish((scheme, bearer): (String, Bearer)) -> Option<Challenge> {
    match scheme.as_str() {
        "basic" => Some(Challenge::Basic),
        "bearer" if !bearer.realm.is_empty() => Some(Challenge::Bearer(bearer)),
        _ => None,
    }
}

/// The first of a parameter's repetitions counts.
fn set(bearer: &mut Bearer, name: &str, value: String) {
    let slot = match name.to_ascii_lowercase().as_str() {
        "realm" if bearer.realm.is_empty() => {
            bearer.realm = value;
            return;
        }
        "service" => &mut bearer.service,
        "error" => &mut bearer.error,
        "error_description" => &mut bearer.description,
        _ => return,
    };
    slot.get_or_insert(value);
}

struct Scanner<'a> {
    rest: &'a str,
}

impl<'a> Scanner<'a> {
    /// The next token, after blanks, commas and whatever else separates.
    fn token(&mut self) -> Option<&'a str> {
        self.rest = self.rest.trim_start_matches(|c: char| !is_token(c));
        let end = self.rest.find(|c: char| !is_token(c)).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!token.is_empty()).then_some(token)
    }

    /// `= value` when it follows; a quoted string loses its quotes and escapes.
    fn value(&mut self) -> Option<String> {
        let after = self.rest.trim_start_matches([' ', '\t']).strip_prefix('=')?.trim_start_matches([' ', '\t']);
        let Some(quoted) = after.strip_prefix('"') else {
            let end = after.find([',', ' ', '\t']).unwrap_or(after.len());
            self.rest = &after[end..];
            return Some(after[..end].to_owned());
        };
        let mut text = String::new();
        let mut chars = quoted.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.rest = &quoted[at + 1..];
                    return Some(text);
                }
                '\\' => text.extend(chars.next().map(|(_, escaped)| escaped)),
                other => text.push(other),
            }
        }
        // An unclosed quote: nothing after it can be trusted, this value neither.
        self.rest = "";
        Some(String::new())
    }
}

fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bearer(realm: &str, service: Option<&str>) -> Challenge {
        Challenge::Bearer(Bearer { realm: realm.into(), service: service.map(Into::into), ..Bearer::default() })
    }

    #[test]
    fn reads_real_headers() {
        let hub =
            r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull""#;
        assert_eq!(parse_one(hub), [bearer("https://auth.docker.io/token", Some("registry.docker.io"))]);
        assert_eq!(parse_one(r#"Basic realm="basic-realm""#), [Challenge::Basic]);
        assert_eq!(parse_one("basic"), [Challenge::Basic]);
        assert_eq!(
            parse_one(r#"Negotiate, Basic realm="a, Bearer realm=b", bearer realm = "https://t/""#),
            [Challenge::Basic, bearer("https://t/", None)]
        );
        let denied = r#"Bearer realm="https://t/",error="insufficient_scope",error_description="say \"please\"""#;
        let Challenge::Bearer(denied) = parse_one(denied).remove(0) else { panic!("not Bearer") };
        assert_eq!(denied.error.as_deref(), Some("insufficient_scope"));
        assert_eq!(denied.description.as_deref(), Some("say \"please\""));
    }

    #[test]
    fn what_cannot_be_read_is_no_challenge() {
        for header in [
            "",
            "Bearer",
            r#"Bearer service="x""#,
            r#"Bearer realm="https://unclosed"#,
            "Digest realm=x",
            ",,,===",
            "Bearer realm=",
        ] {
            assert_eq!(parse_one(header), [], "{header}");
        }
        assert_eq!(parse(std::iter::once("Basic ".repeat(4000).as_str())), []);
        assert_eq!(parse_one(r#"Bearer realm="https://a/",realm="https://b/""#), [bearer("https://a/", None)]);
    }

    #[test]
    fn a_token_is_preferred_to_the_password() {
        assert_eq!(choose(vec![Challenge::Basic, bearer("https://t/", None)]), Some(bearer("https://t/", None)));
        assert_eq!(choose(vec![Challenge::Basic]), Some(Challenge::Basic));
        assert_eq!(choose(vec![]), None);
    }

    proptest! {
        #[test]
        fn quoted_values_arrive_exactly(realm in "[ -~]{1,60}", service in proptest::option::of("[ -~]{0,40}")) {
            let quote = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
            let mut header = format!("Bearer realm=\"{}\"", quote(&realm));
            if let Some(service) = &service { header.push_str(&format!(", service=\"{}\"", quote(service))); }
            prop_assert_eq!(parse_one(&header), vec![bearer(&realm, service.as_deref())]);
        }

        #[test]
        fn nothing_panics(header in "\\PC{0,200}") {
            let _ = parse(std::iter::once(header.as_str()));
        }
    }
}
