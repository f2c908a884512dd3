//! What must hold for every participant token. `fuzz/` takes this file and `token.rs` and calls the function with mutated
//! bytes; the test below calls it with the kept ones of `fuzz/corpus`.

use jsonwebtoken::{Algorithm, EncodingKey};
use meshkeep_core::{Clock, SecretText, Timestamp};

use crate::token::{Claims, TokenError, claimed_key, sign, verify};

const SECRET: &str = "the secret of a fuzzer's key";
const NOW: i64 = 1_700_000_000;

struct Now;

impl Clock for Now {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(NOW * 1000)
    }
}

/// A token, or the claims of one: only what was signed with the key's secret, whole and in time, is believed.
///
/// # Panics
/// When something else is.
pub fn token(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let secret = SecretText::from(SECRET);
    let _ = claimed_key(text);
    if let Ok(claims) = verify(text, &secret, &Now) {
        let (signed, signature) = text.rsplit_once('.').expect("a token has three parts");
        let key = EncodingKey::from_secret(SECRET.as_bytes());
        let own = jsonwebtoken::crypto::sign(signed.as_bytes(), &key, Algorithm::HS256).expect("HMAC takes all");
        assert_eq!(own, signature, "a signature that is not the key's");
        assert!(claims.exp.is_none_or(|exp| exp > NOW));
    }
    if let Ok(claims) = serde_json::from_str::<Claims>(text) {
        signed(&claims, &secret, bytes.len());
    }
}

fn signed(claims: &Claims, secret: &SecretText, place: usize) {
    let token = sign(claims, secret).expect("claims are JSON");
    match verify(token.expose(), secret, &Now) {
        Ok(read) => {
            assert!(claims.exp.is_none_or(|exp| exp > NOW));
            assert_eq!(
                (&read.name, &read.sub, &read.kid, read.exp),
                (&claims.name, &claims.sub, &claims.kid, claims.exp)
            );
            let _ = (read.project().is_ok(), read.api().is_ok(), read.scope("room"));
        }
        Err(TokenError::Expired) => assert!(claims.exp.is_some_and(|exp| exp <= NOW)),
        // What is nested deeper than the reader goes was not read from a token, but from the fuzzer.
        Err(TokenError::Jwt(_) | TokenError::Claim(_)) => return,
    }
    assert!(verify(token.expose(), &SecretText::from("another key's secret"), &Now).is_err());
    let mut changed = token.expose().to_owned().into_bytes();
    let at = place % changed.len();
    changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
    let changed = String::from_utf8(changed).expect("ASCII");
    assert!(verify(&changed, secret, &Now).is_err(), "byte {at} may be anything");
}

#[cfg(test)]
mod tests {
    #[test]
    fn token() {
        let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/token");
        let mut inputs = 0;
        for file in std::fs::read_dir(dir).expect("the corpus is there") {
            super::token(&std::fs::read(file.expect("it is listed").path()).expect("it is a file"));
            inputs += 1;
        }
        assert!(inputs > 3, "the corpus is nearly empty");
    }
}
