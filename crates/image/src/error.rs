//! Why an image was not fetched: a closed list, one sentence and one fix each.
//!
//! What must stay true: no message holds a credential. Text that a registry supplies passes through [`RemoteText`].

use std::{io, net::IpAddr};

use meshkeep_core::{Refusal, RefusalKind, Timestamp};

use crate::{
    host::{BadHost, RegistryHost},
    image::Digest,
    manifest::ManifestFault,
    reference::BadReference,
    remote_text::RemoteText,
    scope::PullScope,
};

/// Why an image was not fetched.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The reference is none.
    #[error("the image {0}")]
    Reference(#[from] BadReference),
    /// The registry asks for a credential, and the service has none.
    #[error("{registry} asks for a credential, and the service has no pull secret for it{said}")]
    NoCredential {
        /// The registry.
        registry: RegistryHost,
        /// What it said.
        said: RemoteText,
    },
    /// The registry does not know this user name and password.
    #[error("{registry} refused the pull secret's user name or password{said}")]
    WrongCredential {
        /// The registry.
        registry: RegistryHost,
        /// What it said.
        said: RemoteText,
    },
    /// The registry says that the password or token has expired.
    #[error("{registry} says that the pull secret's credential has expired{said}")]
    CredentialExpired {
        /// The registry.
        registry: RegistryHost,
        /// What it said.
        said: RemoteText,
    },
    /// The cloud that a registry belongs to gives no password for the identity that the pull secret holds.
    #[error("the cloud of {registry} gives the pull secret's access key no password{said}")]
    Identity {
        /// The registry.
        registry: RegistryHost,
        /// What its API said.
        said: RemoteText,
    },
    /// Absent or forbidden: the registry hides which.
    #[error("{image} does not exist, or the {} has no permission to pull it; the registry does not say which{said}", if *.with_credential { "pull secret" } else { "public" })]
    NotFoundOrNoPermission {
        /// The image.
        image: String,
        /// Whether a credential was sent.
        with_credential: bool,
        /// What the registry said.
        said: RemoteText,
    },
    /// Too many requests.
    #[error("{registry} limits how often images are pulled{}", reset.map_or(String::new(), |at| format!("; the limit is reset at {at}")))]
    RateLimited {
        /// The registry.
        registry: RegistryHost,
        /// When it answers again, if it said so.
        reset: Option<Timestamp>,
    },
    /// The pull secrets name other registries, or other paths.
    #[error("{}, but the image is {image}", stated(opened))]
    WrongRegistry {
        /// What the pull secrets open.
        opened: Vec<PullScope>,
        /// The image.
        image: String,
    },
    /// The pull secret's server is no registry.
    #[error("the pull secret's server {0}")]
    BadServer(BadHost),
    /// A section of the settings names a token service that is none.
    #[error("token_service under [registry.\"{host}\"] {why}")]
    BadSettings {
        /// The section.
        host: RegistryHost,
        /// What is wrong.
        why: BadHost,
    },
    /// The pull secret cannot be sent.
    #[error("the pull secret cannot be used: {0}")]
    UnusableCredential(&'static str),
    /// The token service is not one that the credential may go to.
    #[error("{registry} sends its clients to the token service {realm}, which {why}; no credential was sent there")]
    TokenService {
        /// The registry.
        registry: RegistryHost,
        /// The host of the token service.
        realm: RemoteText,
        /// Why it was not asked.
        why: &'static str,
    },
    /// A redirect that is not followed.
    #[error("{registry} redirects to {target}, which {why}")]
    Redirect {
        /// The registry.
        registry: RegistryHost,
        /// Where to.
        target: RemoteText,
        /// Why it was not followed.
        why: &'static str,
    },
    /// TLS failed.
    #[error("the TLS connection to {host} failed: {why}")]
    Tls {
        /// The host.
        host: RemoteText,
        /// What failed.
        why: RemoteText,
    },
    /// It speaks plain http.
    #[error("{host} speaks plain http, not https")]
    SpeaksHttp {
        /// The host.
        host: RemoteText,
    },
    /// The name has no address.
    #[error("the name {host} has no address")]
    Dns {
        /// The host.
        host: RemoteText,
    },
    /// No connection, or it broke.
    #[error("{host} cannot be reached: {why}")]
    Unreachable {
        /// The host.
        host: RemoteText,
        /// What happened.
        why: &'static str,
    },
    /// A server error.
    #[error("{host} fails with status {status}{said}")]
    RegistryFailed {
        /// The host.
        host: RemoteText,
        /// HTTP status.
        status: u16,
        /// What it said.
        said: RemoteText,
    },
    /// An answer that is none of the protocol.
    #[error("{host} gave an answer that is not a registry's: {what}")]
    BadAnswer {
        /// The host.
        host: RemoteText,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The address is not dialled.
    #[error("{host} has the address {address}, {why}, which is not dialled")]
    RefusedAddress {
        /// The host.
        host: RemoteText,
        /// The address.
        address: IpAddr,
        /// What kind of address it is.
        why: &'static str,
    },
    /// No image for this machine.
    #[error("{image} is not built for {wanted}; it offers {offered}")]
    WrongArchitecture {
        /// The image.
        image: String,
        /// This machine's platform.
        wanted: String,
        /// What the image is for.
        offered: RemoteText,
    },
    /// A manifest or config that is refused.
    #[error("{image} has a manifest that is refused: {why}")]
    BadManifest {
        /// The image.
        image: String,
        /// What is wrong.
        why: ManifestFault,
    },
    /// The bytes are not what their name says.
    #[error("the registry sent other bytes than {expected} names ({what})")]
    DigestMismatch {
        /// The kind of thing.
        what: &'static str,
        /// Its name.
        expected: Digest,
    },
    /// More or fewer bytes than stated.
    #[error("the registry sent a {what} that is not of the stated {expected} bytes ({digest})")]
    SizeMismatch {
        /// The kind of thing.
        what: &'static str,
        /// Its name.
        digest: Digest,
        /// The size that the manifest states.
        expected: u64,
    },
    /// A layer that is refused.
    #[error("the layer {blob} is refused: {why}")]
    Layer {
        /// The layer's blob.
        blob: Digest,
        /// Why, with names from the layer.
        why: RemoteText,
    },
    /// The store may not grow.
    #[error("the image needs {needed} bytes more than the disk budget of {budget} bytes for images leaves")]
    DiskBudget {
        /// Bytes that are missing.
        needed: u64,
        /// The setting.
        budget: u64,
    },
    /// The disk, or a thread that ended.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// What the pull secrets are for, in words.
fn stated(opened: &[PullScope]) -> String {
    match opened {
        [one] => format!("the pull secret is for {one}"),
        several => {
            let several: Vec<_> = several.iter().map(PullScope::to_string).collect();
            format!("the pull secrets are for {}", several.join(", "))
        }
    }
}

impl ImageError {
    /// A stable word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Reference(_) => "bad_reference",
            Self::NoCredential { .. } => "no_credential",
            Self::WrongCredential { .. } => "wrong_credential",
            Self::CredentialExpired { .. } => "credential_expired",
            Self::Identity { .. } => "identity_refused",
            Self::NotFoundOrNoPermission { .. } => "not_found_or_no_permission",
            Self::RateLimited { .. } => "rate_limited",
            Self::WrongRegistry { .. } => "wrong_registry",
            Self::BadServer(_) => "bad_server",
            Self::BadSettings { .. } => "bad_settings",
            Self::UnusableCredential(_) => "unusable_credential",
            Self::TokenService { .. } => "token_service_refused",
            Self::Redirect { .. } => "redirect_refused",
            Self::Tls { .. } | Self::SpeaksHttp { .. } => "tls",
            Self::Dns { .. } => "dns",
            Self::Unreachable { .. } => "registry_unreachable",
            Self::RegistryFailed { .. } => "registry_failed",
            Self::BadAnswer { .. } => "bad_answer",
            Self::RefusedAddress { .. } => "refused_address",
            Self::WrongArchitecture { .. } => "wrong_architecture",
            Self::BadManifest { .. } => "bad_manifest",
            Self::DigestMismatch { .. } => "digest_mismatch",
            Self::SizeMismatch { .. } => "size_mismatch",
            Self::Layer { .. } => "bad_layer",
            Self::DiskBudget { .. } => "disk_budget",
            Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => "disk_full",
            Self::Io { .. } => "image_store",
        }
    }

    /// What the caller can do about it.
    fn kind(&self) -> RefusalKind {
        match self {
            Self::RateLimited { .. }
            | Self::Dns { .. }
            | Self::Unreachable { .. }
            | Self::RegistryFailed { .. }
            | Self::DiskBudget { .. }
            | Self::Io { .. } => RefusalKind::Unavailable,
            _ => RefusalKind::Invalid,
        }
    }

    /// One fix.
    fn hint(&self) -> String {
        let text = match self {
            Self::Reference(_) => "write it as registry.example.com/team/image:tag",
            Self::NoCredential { registry, .. } => {
                return format!(
                    "create a pull secret for {registry} and name it in container.pull_secret, or in the annotation \
                     meshkeep.pull_secrets beside the one that is there"
                );
            }
            Self::WrongCredential { registry, .. } => {
                return format!("update the pull secret with a user name and password that {registry} accepts");
            }
            Self::Identity { .. } => {
                "check the access key and this machine's clock, and that the key's owner may call ecr:GetAuthorizationToken"
            }
            Self::CredentialExpired { .. } => "get a new password or token and update the pull secret",
            Self::NotFoundOrNoPermission { .. } => "check the name and the tag, and that the credential may pull it",
            Self::RateLimited { .. } => "wait until then, or use a pull secret with a higher limit",
            Self::WrongRegistry { .. } => {
                "bind a pull secret whose server is the image's registry, or the beginning of its path there"
            }
            Self::BadServer(_) => {
                "write the server as registry.example.com:5000, or with the beginning of its images' path behind it"
            }
            Self::BadSettings { .. } => "write it as auth.example.com or auth.example.com:5001",
            Self::UnusableCredential(_) => "update the pull secret",
            Self::TokenService { registry, .. } => {
                return format!(
                    "if it is the registry's own, name it as token_service under [registry.\"{registry}\"]"
                );
            }
            Self::Redirect { .. } => {
                "if the target is trusted, name it in a [registry.\"host\"] section of the settings"
            }
            Self::Tls { host, .. } => {
                return format!("if it has a private CA, set ca_file under [registry.\"{}\"]", host.as_str());
            }
            Self::SpeaksHttp { host } => {
                return format!("if that is meant, mark it insecure: --insecure-registry {}", host.as_str());
            }
            Self::Dns { .. } => "check the registry's name and this machine's DNS",
            Self::Unreachable { .. } | Self::RegistryFailed { .. } => "try again; running services are not touched",
            Self::BadAnswer { .. } => "check that the name is a registry's",
            Self::RefusedAddress { host, .. } => {
                return format!("if it is meant, set allow_private under [registry.\"{}\"]", host.as_str());
            }
            Self::WrongArchitecture { .. } => "push an image for this machine's architecture",
            Self::BadManifest { .. } => "push the image again with current tools",
            Self::DigestMismatch { .. } | Self::SizeMismatch { .. } => {
                "try again; if it stays, the registry's storage is damaged or the image was tampered with"
            }
            Self::Layer { .. } => "rebuild the image, or raise the limit that it exceeds",
            Self::DiskBudget { .. } => "end sessions of images that are not needed, or raise the budget",
            Self::Io { .. } => "check the disk that holds the data directory",
        };
        text.to_owned()
    }

    /// The refusal that people and programs see.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        Refusal::new(self.kind(), self.code(), self.to_string()).hint(self.hint())
    }

    /// Whether trying the same again soon may help.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { why, .. } => *why == crate::registry::BROKEN,
            Self::RegistryFailed { .. } => true,
            _ => false,
        }
    }

    pub(crate) fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what, source }
    }
}
