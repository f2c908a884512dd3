//! AWS Signature Version 4 of one request: `POST /` with a small body
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>).
//!
//! What must stay true: of the secret access key nothing is in the result but a MAC under it; every copy of it is wiped.

use hmac::{Hmac, KeyInit as _, Mac as _};
use meshkeep_core::SecretText;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// What is signed.
pub(super) struct Signed<'a> {
    /// In the order of their names, which are in lower case; `host` and `x-amz-date` are among them.
    pub headers: &'a [(&'a str, &'a str)],
    pub body: &'a [u8],
    pub region: &'a str,
    pub service: &'a str,
    /// `20150830T123600Z`.
    pub date: &'a str,
}

/// The value of the `Authorization` header.
pub(super) fn sign(request: &Signed<'_>, key_id: &str, secret: &SecretText) -> String {
    let Signed { headers, body, region, service, date } = *request;
    let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let lines: String = headers.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
    let canonical = format!("POST\n/\n\n{lines}\n{names}\n{}", hex::encode(Sha256::digest(body)));
    let day = date.get(..8).unwrap_or(date);
    let scope = format!("{day}/{region}/{service}/aws4_request");
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex::encode(Sha256::digest(canonical)));

    let mut first = Zeroizing::new(Vec::with_capacity(4 + secret.len()));
    first.extend_from_slice(b"AWS4");
    first.extend_from_slice(secret.expose().as_bytes());
    let mut key = mac(&first, day);
    for part in [region, service, "aws4_request"] {
        key = mac(&*key, part);
    }
    let signature = hex::encode(*mac(&*key, &text));
    format!("AWS4-HMAC-SHA256 Credential={key_id}/{scope}, SignedHeaders={names}, Signature={signature}")
}

fn mac(key: &[u8], text: &str) -> Zeroizing<[u8; 32]> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    Zeroizing::new(mac.finalize().into_bytes().into())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use aws_credential_types::Credentials;
    use aws_sigv4::{
        http_request::{SignableBody, SignableRequest, SigningSettings},
        sign::v4,
    };
    use proptest::prelude::*;

    use super::*;

    /// `post-vanilla` of the test suite that AWS published with the algorithm.
    #[test]
    fn the_published_vector_is_met() {
        let headers = [("host", "example.amazonaws.com"), ("x-amz-date", "20150830T123600Z")];
        let request =
            Signed { headers: &headers, body: b"", region: "us-east-1", service: "service", date: "20150830T123600Z" };
        let signed = sign(&request, "AKIDEXAMPLE", &"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into());
        let expected = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
                        SignedHeaders=host;x-amz-date, \
                        Signature=5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b";
        assert_eq!(signed, expected);
    }

    proptest! {
        /// Whatever is signed: AWS's own library signs it so.
        #[test]
        fn the_library_of_aws_says_the_same(secret in "[A-Za-z0-9/+]{1,60}", target in "[A-Za-z0-9_.]{1,40}", body: Vec<u8>, region in "[a-z]{2}-[a-z]{4}-[1-9]") {
            let headers = [
                ("host", "api.ecr.example.com"), ("x-amz-date", "20150830T123600Z"), ("x-amz-target", target.as_str()),
            ];
            let request = Signed { headers: &headers, body: &body, region: &region, service: "ecr", date: "20150830T123600Z" };
            let ours = sign(&request, "AKIDEXAMPLE", &secret.as_str().into());

            let identity =
                Credentials::builder().access_key_id("AKIDEXAMPLE").secret_access_key(secret).provider_name("test").build().into();
            let parameters = v4::SigningParams::builder()
                .identity(&identity)
                .region(&region)
                .name("ecr")
                .time(UNIX_EPOCH + Duration::from_secs(1_440_938_160))
                .settings(SigningSettings::default())
                .build()
                .unwrap()
                .into();
            let own = [("x-amz-target", target.as_str())].into_iter();
            let theirs =
                SignableRequest::new("POST", "https://api.ecr.example.com/", own, SignableBody::Bytes(&body)).unwrap();
            let (instructions, _) = aws_sigv4::http_request::sign(theirs, &parameters).unwrap().into_parts();
            let theirs = instructions.headers().find(|(name, _)| *name == "authorization").unwrap().1.to_owned();
            prop_assert_eq!(ours, theirs);
        }
    }
}
