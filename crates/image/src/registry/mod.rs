//! The registry's side of a fetch: requests that carry their proof, and nothing but what was asked for.
//!
//! What must stay true: a proof is made per request from its URL (see `credential`); after a redirect to another origin
//! no proof is sent any more; challenges are read only from the registry itself.

mod answer;
mod challenge_memory;
mod dial;
mod ecr;
mod fingerprint;
mod proof;
mod signature;
mod token;

use std::{borrow::Cow, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use meshkeep_core::secret::PullCredential;
use reqwest::Url;

use self::{
    challenge_memory::Schemes,
    dial::{Dialer, Outgoing, shown_host},
    ecr::{Given, Passwords},
    fingerprint::Fingerprints,
    proof::Proof,
    token::Tokens,
};
use crate::{
    credential::{Grant, registry_base, same_origin},
    error::ImageError,
    host::RegistryHost,
    image::Digest,
    manifest,
    reference::Reference,
    remote_text::{Hidden, RemoteText},
    settings::RegistrySettings,
};

#[cfg(feature = "testing")]
pub(crate) use self::dial::install_tls;
pub(crate) use self::dial::{BROKEN, Reply};

/// Most bytes of a manifest or config.
pub(crate) const MAX_DOCUMENT: usize = 4 << 20;
const MAX_REDIRECTS: usize = 5;
const WHOLE_REQUEST: Duration = Duration::from_secs(60);
const TRIES: u32 = 3;

/// What is known of registries between fetches. Keeps no credential but what registries gave out for a while.
pub(crate) struct Registries {
    dialer: Dialer,
    tokens: Tokens,
    passwords: Passwords,
    schemes: Schemes,
}

impl Registries {
    pub fn new(settings: RegistrySettings) -> Result<Self, getrandom::Error> {
        let fingerprints = Fingerprints::new()?;
        Ok(Self {
            dialer: Dialer::new(Arc::new(settings)),
            tokens: Tokens::new(fingerprints.clone()),
            passwords: Passwords::new(fingerprints),
            schemes: Schemes::default(),
        })
    }

    /// Posts JSON to a URL that a manifest names, under the rules that hold for registries: which addresses may be dialled,
    /// what the operator says of the host, TLS, no redirect. The status that it answers; nothing else is read.
    ///
    /// # Errors
    /// When it is not dialled, or does not answer.
    pub async fn post(&self, url: &str, body: Vec<u8>) -> Result<StatusCode, ImageError> {
        let url: Url = url.parse().map_err(|_| ImageError::Dns { host: RemoteText::new(url, Hidden::default()) })?;
        let settings = self.dialer.settings();
        let section = RegistryHost::of_url(&url).map(|host| settings.host(&host)).unwrap_or_default();
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        let hidden = Hidden::default();
        let limit = Some(WHOLE_REQUEST);
        let post = Outgoing { section: &section, method: Method::POST, url, headers, body: Some(body), limit, hidden };
        Ok(self.dialer.send(post).await?.status())
    }

    /// What is presented to the image's registry for a service's credential: the credential itself, or the password that
    /// its cloud gives out for it.
    ///
    /// # Errors
    /// The credential is for another registry, or another path of it; its cloud refuses it.
    pub async fn presented<'a>(
        &self,
        reference: &Reference,
        credential: Option<&'a PullCredential>,
    ) -> Result<Presented<'a>, ImageError> {
        let Some(credential) = credential else { return Ok(Presented::default()) };
        // Nobody is asked on behalf of an image that it is not for.
        Grant::new(reference, self.dialer.settings(), credential)?;
        Ok(match self.passwords.of(&self.dialer, reference.registry(), credential).await? {
            Some(Given { credential, remembered }) => {
                Presented { credential: Some(Cow::Owned(credential)), remembered }
            }
            None => Presented { credential: Some(Cow::Borrowed(credential)), remembered: false },
        })
    }

    /// Whether asking anew for what is presented may help after this refusal: it was a password of before, and is
    /// forgotten.
    pub async fn asks_anew(
        &self,
        reference: &Reference,
        credential: Option<&PullCredential>,
        presented: &Presented<'_>,
        error: &ImageError,
    ) -> bool {
        let over = matches!(error, ImageError::WrongCredential { .. } | ImageError::CredentialExpired { .. });
        match (credential, &presented.credential) {
            (Some(credential), Some(Cow::Owned(password))) if over => {
                self.passwords.forget(reference.registry(), credential, password).await;
                presented.remembered
            }
            _ => false,
        }
    }

    /// Access to one image with one service's credential.
    ///
    /// # Errors
    /// The credential is for another registry, or another path of it.
    pub fn access<'a>(
        &'a self,
        reference: &'a Reference,
        credential: Option<&'a PullCredential>,
    ) -> Result<Access<'a>, ImageError> {
        let settings = self.dialer.settings();
        let grant = credential.map(|one| Grant::new(reference, settings, one)).transpose()?;
        Ok(Access { registries: self, reference, grant, base: registry_base(reference.registry(), settings) })
    }
}

/// What goes to a registry for a service's credential.
#[derive(Default)]
pub(crate) struct Presented<'a> {
    credential: Option<Cow<'a, PullCredential>>,
    remembered: bool,
}

impl Presented<'_> {
    pub fn credential(&self) -> Option<&PullCredential> {
        self.credential.as_deref()
    }
}

/// Access to one image with one service's credential.
pub(crate) struct Access<'a> {
    registries: &'a Registries,
    reference: &'a Reference,
    grant: Option<Grant<'a>>,
    base: Url,
}

/// A request but for its proof.
struct Ask<'p> {
    method: Method,
    path: &'p str,
    /// Bound of the whole exchange.
    limit: Option<Duration>,
    /// Whether redirects are followed, or are an answer.
    follow: bool,
    /// The first byte that is wanted of a body; 0 is all of it.
    from: u64,
}

impl<'p> Ask<'p> {
    const fn new(method: Method, path: &'p str) -> Self {
        Self { method, path, limit: Some(WHOLE_REQUEST), follow: true, from: 0 }
    }
}

/// A manifest as it was sent.
pub(crate) struct Document {
    /// `Content-Type` without parameters.
    pub media_type: String,
    /// The exact bytes.
    pub bytes: Vec<u8>,
}

/// An answer and whether it comes from another origin than the registry.
struct Arrived {
    reply: Reply,
    elsewhere: bool,
}

impl<'a> Access<'a> {
    pub const fn reference(&self) -> &'a Reference {
        self.reference
    }

    pub fn credential(&self) -> Option<&'a PullCredential> {
        self.grant.as_ref().map(Grant::credential)
    }

    /// The registry's word that this credential opens the image, and the digest that it resolves to. `None` when the
    /// registry does not say it in answer to a HEAD request: then the manifest itself must be fetched.
    pub async fn head(&self) -> Result<Option<Digest>, ImageError> {
        let path = self.manifest_path(self.reference.wanted());
        let reply = match self.request(&Ask::new(Method::HEAD, &path)).await {
            Ok(reply) => reply,
            // An answer to HEAD has no words: the GET that follows brings them, or succeeds where HEAD is unknown.
            Err(
                ImageError::NotFoundOrNoPermission { .. }
                | ImageError::WrongCredential { .. }
                | ImageError::BadAnswer { .. },
            ) => return Ok(None),
            Err(other) => return Err(other),
        };
        let stated: Option<Digest> = reply.text_header("docker-content-digest").and_then(|text| text.parse().ok());
        match (self.reference.digest(), stated) {
            (Some(pinned), Some(stated)) if *pinned != stated => {
                Err(ImageError::DigestMismatch { what: "manifest", expected: pinned.clone() })
            }
            (Some(pinned), _) => Ok(Some(pinned.clone())),
            (None, stated) => Ok(stated),
        }
    }

    /// A manifest by tag or digest.
    pub async fn manifest(&self, wanted: &str) -> Result<Document, ImageError> {
        let reply = self.request(&Ask::new(Method::GET, &self.manifest_path(wanted))).await?;
        let media_type = reply.text_header(header::CONTENT_TYPE).unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default().trim().to_owned();
        let bytes = answer::body(reply, MAX_DOCUMENT).await?.to_vec();
        Ok(Document { media_type, bytes })
    }

    /// A small blob, whole.
    pub async fn document(&self, digest: &Digest) -> Result<Vec<u8>, ImageError> {
        let reply = self.request(&Ask::new(Method::GET, &self.blob_path(digest))).await?;
        Ok(answer::body(reply, MAX_DOCUMENT).await?.to_vec())
    }

    /// The registry's word that this credential opens the blob in this repository.
    pub async fn blob_is_open(&self, digest: &Digest) -> Result<(), ImageError> {
        // A redirect to where the blob is stored is the registry's yes; its target may not know HEAD.
        let path = self.blob_path(digest);
        self.request(&Ask { follow: false, ..Ask::new(Method::HEAD, &path) }).await.map(drop)
    }

    /// Begins a download at the byte `from`; the byte at which the answer begins, which is 0 when its sender knows no ranges
    /// (RFC 9110, section 14.2). Tried once: the caller repeats it with what follows.
    pub async fn blob(&self, digest: &Digest, from: u64) -> Result<(Reply, u64), ImageError> {
        let path = self.blob_path(digest);
        let reply = self.request_once(&Ask { limit: None, from, ..Ask::new(Method::GET, &path) }).await?;
        let begins = if reply.status() == StatusCode::PARTIAL_CONTENT { from } else { 0 };
        let stated = reply.text_header(header::CONTENT_RANGE).and_then(first_byte);
        if begins > 0 && stated != Some(from) {
            return Err(ImageError::BadAnswer {
                host: reply.host.clone(),
                what: "it sends another part of a layer than the one that was asked for",
            });
        }
        Ok((reply, begins))
    }

    fn manifest_path(&self, wanted: &str) -> String {
        format!("v2/{}/manifests/{wanted}", self.reference.repository())
    }

    fn blob_path(&self, digest: &Digest) -> String {
        format!("v2/{}/blobs/{digest}", self.reference.repository())
    }

    /// A request that succeeds, or the reason why it does not. Passing troubles are tried again.
    async fn request(&self, ask: &Ask<'_>) -> Result<Reply, ImageError> {
        patiently(|| self.request_once(ask)).await
    }

    async fn request_once(&self, ask: &Ask<'_>) -> Result<Reply, ImageError> {
        let url = self.base.join(ask.path).expect("repository, tag and digest have strict alphabets");
        let mut proof = self.remembered_proof().await?;
        loop {
            let Arrived { reply, elsewhere } = self.follow(ask, url.clone(), &proof).await?;
            let status = reply.status();
            if status.is_success() || (!ask.follow && status.is_redirection()) {
                return Ok(reply);
            }
            if elsewhere {
                return Err(self.failed_elsewhere(reply, &proof).await);
            }
            if status != StatusCode::UNAUTHORIZED {
                return Err(self.refused(reply, &proof).await);
            }
            proof = match self.next_proof(&reply, &proof).await? {
                Some(next) => next,
                None => return Err(self.refused(reply, &proof).await),
            };
        }
    }

    /// Sends a request and follows redirects by hand.
    async fn follow(&self, ask: &Ask<'_>, start: Url, proof: &Proof) -> Result<Arrived, ImageError> {
        let registry = self.reference.registry();
        let (mut url, mut elsewhere) = (start, false);
        for _ in 0..=MAX_REDIRECTS {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(manifest::ACCEPT));
            if ask.from > 0 {
                headers.insert(header::RANGE, range_from(ask.from));
            }
            if !elsewhere && let Some(value) = self.header(proof, &url) {
                headers.insert(header::AUTHORIZATION, value);
            }
            let section = self.registries.dialer.settings().for_url(registry, &url);
            let outgoing = Outgoing {
                section: &section,
                method: ask.method.clone(),
                url: url.clone(),
                headers,
                body: None,
                limit: ask.limit,
                hidden: self.hidden(proof),
            };
            let reply = self.registries.dialer.send(outgoing).await?;
            if !ask.follow {
                return Ok(Arrived { reply, elsewhere });
            }
            let Some(target) = self.target(&reply, &url, proof)? else { return Ok(Arrived { reply, elsewhere }) };
            elsewhere |= !same_origin(&target, &url);
            url = target;
        }
        let why = "is one redirect too many";
        Err(ImageError::Redirect { registry: registry.clone(), target: shown_host(&url, self.hidden(proof)), why })
    }

    /// Where a redirect leads, if the answer is one and may be followed.
    fn target(&self, reply: &Reply, from: &Url, proof: &Proof) -> Result<Option<Url>, ImageError> {
        if !matches!(reply.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
            return Ok(None);
        }
        let refuse = |target, why| ImageError::Redirect { registry: self.reference.registry().clone(), target, why };
        let Some(target) = reply.text_header(header::LOCATION).and_then(|location| from.join(location).ok()) else {
            return Err(refuse(RemoteText::new("nowhere", Hidden::default()), "cannot be followed"));
        };
        let shown = shown_host(&target, self.hidden(proof));
        if !target.username().is_empty() || target.password().is_some() {
            return Err(refuse(shown, "holds a user name"));
        }
        let section = self.registries.dialer.settings().for_url(self.reference.registry(), &target);
        match target.scheme() {
            "https" => Ok(Some(target)),
            "http" if section.insecure => Ok(Some(target)),
            "http" => Err(refuse(shown, "is plain http and not marked insecure")),
            _ => Err(refuse(shown, "is neither https nor http")),
        }
    }

    /// The target of a redirect does not deliver. It may once the registry is asked again (such addresses expire).
    async fn failed_elsewhere(&self, reply: Reply, proof: &Proof) -> ImageError {
        let (host, status) = (reply.host.clone(), reply.status().as_u16());
        let said = answer::said(reply, self.hidden(proof)).await.said();
        ImageError::RegistryFailed { host, status, said }
    }
}

fn range_from(first: u64) -> HeaderValue {
    HeaderValue::try_from(format!("bytes={first}-")).expect("digits are fit for a header")
}

/// The first byte that a `Content-Range` states.
fn first_byte(range: &str) -> Option<u64> {
    range.strip_prefix("bytes ")?.split_once('-')?.0.trim().parse().ok()
}

/// Tries again, a few times, what may pass by itself.
async fn patiently<T, F>(attempt: impl Fn() -> F) -> Result<T, ImageError>
where
    F: Future<Output = Result<T, ImageError>>,
{
    for tried in 1..TRIES {
        match attempt().await {
            Err(error) => match pause(&error, tried) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(error),
            },
            done => return done,
        }
    }
    attempt().await
}

/// How long to wait before the next try; `None` when another try is of no use.
pub(crate) fn pause(error: &ImageError, tried: u32) -> Option<Duration> {
    if !error.is_transient() {
        return answer::short_wait(error);
    }
    let mut jitter = [0];
    // Without randomness the pause is merely less spread.
    let _ = getrandom::fill(&mut jitter);
    Some(Duration::from_millis(150 * 3_u64.pow(tried.min(4)) + u64::from(jitter[0])))
}
