//! The registry's side of a fetch: requests that carry their proof, and nothing but what was asked for.
//!
//! What must stay true: a proof is made per request from its URL (see `credential`); after a redirect to another origin
//! no proof is sent any more; challenges are read only from the registry itself.

mod answer;
mod challenge_memory;
mod dial;
mod token;

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use meshkeep_core::secret::PullCredential;
use reqwest::{Response, Url};

use self::{
    challenge_memory::{Scheme, Schemes},
    dial::{Dialer, failed, shown_host},
    token::Tokens,
};
use crate::{
    challenge,
    credential::{Grant, Token, registry_base, same_origin},
    error::ImageError,
    image::Digest,
    manifest,
    reference::Reference,
    remote_text::RemoteText,
    settings::RegistrySettings,
};

pub(crate) use self::dial::BROKEN;
#[cfg(feature = "testing")]
pub(crate) use self::dial::install_tls;

/// Most bytes of a manifest or config.
pub(crate) const MAX_DOCUMENT: usize = 4 << 20;
const MAX_REDIRECTS: usize = 5;
const WHOLE_REQUEST: Duration = Duration::from_secs(60);
const TRIES: u32 = 3;

/// What is known of registries between fetches. Keeps no credential.
pub(crate) struct Registries {
    dialer: Dialer,
    tokens: Tokens,
    schemes: Schemes,
}

impl Registries {
    pub fn new(settings: RegistrySettings) -> Result<Self, getrandom::Error> {
        Ok(Self { dialer: Dialer::new(Arc::new(settings)), tokens: Tokens::new()?, schemes: Schemes::default() })
    }

    /// Access to one image with one service's credential.
    ///
    /// # Errors
    /// The credential is for another registry.
    pub fn access<'a>(
        &'a self,
        reference: &'a Reference,
        credential: Option<&'a PullCredential>,
    ) -> Result<Access<'a>, ImageError> {
        let settings = self.dialer.settings();
        let grant = credential.map(|one| Grant::new(reference.registry(), settings, one)).transpose()?;
        Ok(Access { registries: self, reference, grant, base: registry_base(reference.registry(), settings) })
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
}

impl<'p> Ask<'p> {
    const fn new(method: Method, path: &'p str) -> Self {
        Self { method, path, limit: Some(WHOLE_REQUEST), follow: true }
    }
}

/// What a request carries.
enum Proof {
    Nothing,
    Basic,
    Token { token: Token, fresh: bool },
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
    response: Response,
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
        let response = match self.request(&Ask::new(Method::HEAD, &path)).await {
            Ok(response) => response,
            // An answer to HEAD has no words: the GET that follows brings them, or succeeds where HEAD is unknown.
            Err(
                ImageError::NotFoundOrNoPermission { .. }
                | ImageError::WrongCredential { .. }
                | ImageError::BadAnswer { .. },
            ) => return Ok(None),
            Err(other) => return Err(other),
        };
        let stated = response.headers().get("docker-content-digest").and_then(|value| value.to_str().ok());
        let stated: Option<Digest> = stated.and_then(|text| text.parse().ok());
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
        let response = self.request(&Ask::new(Method::GET, &self.manifest_path(wanted))).await?;
        let media_type = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type = media_type.and_then(|text| text.split(';').next()).unwrap_or_default().trim().to_owned();
        let bytes = answer::body(response, MAX_DOCUMENT).await?.to_vec();
        Ok(Document { media_type, bytes })
    }

    /// A small blob, whole.
    pub async fn document(&self, digest: &Digest) -> Result<Vec<u8>, ImageError> {
        let response = self.request(&Ask::new(Method::GET, &self.blob_path(digest))).await?;
        Ok(answer::body(response, MAX_DOCUMENT).await?.to_vec())
    }

    /// The registry's word that this credential opens the blob in this repository.
    pub async fn blob_is_open(&self, digest: &Digest) -> Result<(), ImageError> {
        // A redirect to where the blob is stored is the registry's yes; its target may not know HEAD.
        let path = self.blob_path(digest);
        self.request(&Ask { follow: false, ..Ask::new(Method::HEAD, &path) }).await.map(drop)
    }

    /// Begins a download. Tried once: the caller repeats it with what follows.
    pub async fn blob(&self, digest: &Digest) -> Result<Response, ImageError> {
        let path = self.blob_path(digest);
        self.request_once(&Ask { limit: None, ..Ask::new(Method::GET, &path) }).await
    }

    /// What a broken download means.
    pub fn broken(&self, error: &reqwest::Error) -> ImageError {
        failed(error, &shown_host(&self.base))
    }

    fn manifest_path(&self, wanted: &str) -> String {
        format!("v2/{}/manifests/{wanted}", self.reference.repository())
    }

    fn blob_path(&self, digest: &Digest) -> String {
        format!("v2/{}/blobs/{digest}", self.reference.repository())
    }

    /// A request that succeeds, or the reason why it does not. Passing troubles are tried again.
    async fn request(&self, ask: &Ask<'_>) -> Result<Response, ImageError> {
        for tried in 1.. {
            match self.request_once(ask).await {
                Err(error) if tried < TRIES => match pause(&error, tried) {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => return Err(error),
                },
                outcome => return outcome,
            }
        }
        unreachable!("the loop returns at the last try")
    }

    async fn request_once(&self, ask: &Ask<'_>) -> Result<Response, ImageError> {
        let url = self.base.join(ask.path).expect("repository, tag and digest have strict alphabets");
        let mut proof = self.remembered_proof().await?;
        loop {
            let Arrived { response, elsewhere } = self.follow(ask, url.clone(), &proof).await?;
            if response.status().is_success() || (!ask.follow && response.status().is_redirection()) {
                return Ok(response);
            }
            if elsewhere {
                return Err(self.failed_elsewhere(response).await);
            }
            if response.status() != StatusCode::UNAUTHORIZED {
                return Err(self.refused(response, &proof).await);
            }
            proof = match self.next_proof(&response, &proof).await? {
                Some(next) => next,
                None => return Err(self.refused(response, &proof).await),
            };
        }
    }

    /// What the registry wanted last time.
    async fn remembered_proof(&self) -> Result<Proof, ImageError> {
        match self.registries.schemes.get(self.reference.registry()) {
            Some(Scheme::Basic) if self.grant.is_some() => Ok(Proof::Basic),
            Some(Scheme::Bearer(bearer)) => {
                let tokens = &self.registries.tokens;
                if let Some(token) = tokens.get(&tokens.key(self.reference, self.credential())) {
                    return Ok(Proof::Token { token, fresh: false });
                }
                let asked = tokens.ask(&self.registries.dialer, self.reference, self.grant.as_ref(), &bearer).await?;
                Ok(Proof::Token { token: asked, fresh: true })
            }
            _ => Ok(Proof::Nothing),
        }
    }

    /// The proof to try after a 401; `None` when what was sent is what the registry asks for. Ends: from `Nothing` or an
    /// old token to `Basic` or a fresh token, and from `Basic` to a fresh token, never back.
    async fn next_proof(&self, response: &Response, sent: &Proof) -> Result<Option<Proof>, ImageError> {
        let values =
            response.headers().get_all(header::WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let Some(challenge) = challenge::choose(challenge::parse(values)) else { return Ok(None) };
        let scheme = Scheme::from(challenge);
        let registry = self.reference.registry();
        match (&scheme, sent) {
            (Scheme::Basic, Proof::Nothing | Proof::Token { fresh: false, .. }) if self.grant.is_some() => {
                self.registries.schemes.put(registry, &scheme);
                Ok(Some(Proof::Basic))
            }
            (Scheme::Bearer(bearer), Proof::Nothing | Proof::Basic | Proof::Token { fresh: false, .. }) => {
                let tokens = &self.registries.tokens;
                tokens.forget(&tokens.key(self.reference, self.credential()));
                let token = tokens.ask(&self.registries.dialer, self.reference, self.grant.as_ref(), bearer).await?;
                self.registries.schemes.put(registry, &scheme);
                Ok(Some(Proof::Token { token, fresh: true }))
            }
            _ => Ok(None),
        }
    }

    /// Sends a request and follows redirects by hand.
    async fn follow(&self, ask: &Ask<'_>, start: Url, proof: &Proof) -> Result<Arrived, ImageError> {
        let registry = self.reference.registry();
        let (mut url, mut elsewhere) = (start, false);
        for _ in 0..=MAX_REDIRECTS {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(manifest::ACCEPT));
            if !elsewhere && let Some(value) = self.header(proof, &url) {
                headers.insert(header::AUTHORIZATION, value);
            }
            let section = self.registries.dialer.settings().for_url(registry, &url);
            let response =
                self.registries.dialer.send(&section, ask.method.clone(), url.clone(), headers, ask.limit).await?;
            if !ask.follow {
                return Ok(Arrived { response, elsewhere });
            }
            let Some(target) = self.target(&response, &url)? else { return Ok(Arrived { response, elsewhere }) };
            elsewhere |= !same_origin(&target, &url);
            url = target;
        }
        let why = "is one redirect too many";
        Err(ImageError::Redirect { registry: registry.clone(), target: self.show(&url), why })
    }

    fn header(&self, proof: &Proof, url: &Url) -> Option<HeaderValue> {
        match proof {
            Proof::Nothing => None,
            Proof::Basic => self.grant.as_ref()?.for_registry(url),
            Proof::Token { token, .. } => token.for_registry(url),
        }
    }

    /// Where a redirect leads, if the answer is one and may be followed.
    fn target(&self, response: &Response, from: &Url) -> Result<Option<Url>, ImageError> {
        if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
            return Ok(None);
        }
        let refuse = |target, why| ImageError::Redirect { registry: self.reference.registry().clone(), target, why };
        let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
        let Some(target) = location.and_then(|location| from.join(location).ok()) else {
            return Err(refuse(RemoteText::new("nowhere", None), "cannot be followed"));
        };
        if !target.username().is_empty() || target.password().is_some() {
            return Err(refuse(self.show(&target), "holds a user name"));
        }
        let section = self.registries.dialer.settings().for_url(self.reference.registry(), &target);
        match target.scheme() {
            "https" => Ok(Some(target)),
            "http" if section.insecure => Ok(Some(target)),
            "http" => Err(refuse(self.show(&target), "is plain http and not marked insecure")),
            _ => Err(refuse(self.show(&target), "is neither https nor http")),
        }
    }

    /// A host for messages; a stranger chose it, and may know the credential.
    fn show(&self, url: &Url) -> RemoteText {
        RemoteText::new(shown_host(url).as_str(), self.credential())
    }

    /// The target of a redirect does not deliver. It may once the registry is asked again (such addresses expire).
    async fn failed_elsewhere(&self, response: Response) -> ImageError {
        let (host, status) = (self.show(response.url()), response.status().as_u16());
        let said = answer::said(response, self.credential()).await.said();
        ImageError::RegistryFailed { host, status, said }
    }

    async fn refused(&self, response: Response, proof: &Proof) -> ImageError {
        let (status, headers) = (response.status(), response.headers().clone());
        let (host, registry) = (self.show(response.url()), self.reference.registry().clone());
        let mut said = answer::said(response, self.credential()).await;
        if said.as_str().is_empty() {
            said = self.description(&headers);
        }
        let with_credential = self.grant.is_some();
        let expired = with_credential && answer::means_expired(&said);
        let image = self.reference.to_string();
        match (status.as_u16(), proof) {
            (401 | 403, _) if expired => ImageError::CredentialExpired { registry, said: said.said() },
            (401, Proof::Basic) => ImageError::WrongCredential { registry, said: said.said() },
            (401, _) if !with_credential => ImageError::NoCredential { registry, said: said.said() },
            (401, Proof::Nothing) => ImageError::BadAnswer { host, what: "it asks for a credential in no known way" },
            (401 | 403 | 404, _) => ImageError::NotFoundOrNoPermission { image, with_credential, said: said.said() },
            _ => answer::general(status, &headers, host, &registry, said),
        }
    }

    fn description(&self, headers: &HeaderMap) -> RemoteText {
        let values = headers.get_all(header::WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        match challenge::choose(challenge::parse(values)) {
            Some(challenge::Challenge::Bearer(bearer)) => {
                RemoteText::new(&bearer.description.or(bearer.error).unwrap_or_default(), self.credential())
            }
            _ => RemoteText::default(),
        }
    }
}

/// How long to wait before the next try; `None` when another try is of no use.
pub(crate) fn pause(error: &ImageError, tried: u32) -> Option<Duration> {
    if !error.is_transient() {
        return answer::short_wait(error).filter(|_| tried == 1);
    }
    let mut jitter = [0];
    // Without randomness the pause is merely less spread.
    let _ = getrandom::fill(&mut jitter);
    Some(Duration::from_millis(150 * 3_u64.pow(tried.min(4)) + u64::from(jitter[0])))
}
