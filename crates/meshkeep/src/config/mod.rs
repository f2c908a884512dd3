//! What the operator decides: the command line of `serve` over `meshkeep.toml` over the defaults, read once, checked
//! before anything is touched, and passed on as plain values.
//!
//! What must stay true: an unknown or misspelt setting is refused and never ignored.

mod client;
mod environment;
mod file;
mod paths;
mod size;
mod stated_url;

use std::{net::SocketAddr, num::NonZeroU32, path::PathBuf, time::Duration};

use meshkeep_engine::{EmbeddedConfig, Limits, SERVER_NAME};
use meshkeep_image::{RegistryHost, RegistrySettings};

pub use client::{ClientArgs, ClientConfig};
pub use environment::{ClientEnvironment, Environment};
pub use file::ConfigFile;
pub use paths::{DataDir, with_ending};

use self::stated_url::{checked_url, is_loopback};
use crate::{
    failure::{Exit, Failure},
    root_key::{RootKeyArgs, RootKeyPlace},
    serve::{EngineKind, ServeArgs},
};

/// Where `serve` listens when nobody says otherwise.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:4680";

/// Versions that a secret keeps when nobody says otherwise.
const KEEP_VERSIONS: u32 = 20;

/// Days for which a deleted secret can be restored, when nobody says otherwise.
const KEEP_DELETED_DAYS: u32 = 30;

/// Seconds that a session stays after its last participant has left, when nobody says otherwise.
const GRACE_SECONDS: u32 = 30;

/// Everything `serve` needs to know.
#[derive(Debug)]
pub struct ServerConfig {
    /// What runs workloads.
    pub engine_kind: EngineKind,
    /// Where everything is kept.
    pub data_dir: DataDir,
    /// The root key.
    pub root_key: RootKeyPlace,
    /// Where to listen.
    pub listen: SocketAddr,
    /// How the listener is protected.
    pub transport: Transport,
    /// What the operator says the server's URL is.
    pub stated_url: Option<String>,
    /// What is known of registries.
    pub registries: RegistrySettings,
    /// Bytes that image layers may take on the disk.
    pub image_disk_budget: Option<u64>,
    /// Bounds of a workload whose manifest states none.
    pub limits: Limits,
    /// Versions that a secret keeps.
    pub keep_versions: u32,
    /// Days for which a deleted secret can be restored.
    pub keep_deleted_days: u32,
    /// How long a session stays after its last participant has left.
    pub session_grace: Duration,
    /// The embedded engine's settings.
    pub engine: EmbeddedConfig,
}

/// How the listener is protected.
#[derive(Debug, PartialEq, Eq)]
pub enum Transport {
    /// On loopback, in the clear.
    Loopback,
    /// A proxy in front does TLS.
    BehindProxy,
    /// TLS with these files.
    Tls {
        /// Certificate chain, PEM.
        cert: PathBuf,
        /// Private key, PEM.
        key: PathBuf,
    },
}

impl ServerConfig {
    /// Reads the file that the command line names, if any, and puts the command line over it.
    ///
    /// # Errors
    /// A usage failure that names the setting.
    pub fn load(args: &ServeArgs, environment: &Environment) -> Result<Self, Failure> {
        let file = args.config.as_deref().map(ConfigFile::read).transpose()?.unwrap_or_default();
        Self::merge(args, file, environment)
    }

    /// Where the server listens, as a URL.
    #[must_use]
    pub fn listen_url(&self) -> String {
        format!("{}://{}", self.scheme(), self.listen)
    }

    const fn scheme(&self) -> &'static str {
        if matches!(self.transport, Transport::Tls { .. }) { "https" } else { "http" }
    }

    /// The URL under which services reach this server: as stated, unless that is this machine's loopback, which is not
    /// theirs; else at their session's gateway.
    #[must_use]
    pub fn service_url(&self) -> String {
        match &self.stated_url {
            Some(url) if !is_loopback(url) => url.clone(),
            _ => format!("{}://{SERVER_NAME}:{}", self.scheme(), self.listen.port()),
        }
    }

    /// The URL under which clients reach this server, without a slash at its end.
    #[must_use]
    pub fn public_url(&self) -> String {
        self.stated_url.clone().unwrap_or_else(|| self.listen_url())
    }

    fn merge(args: &ServeArgs, file: ConfigFile, environment: &Environment) -> Result<Self, Failure> {
        let server = file.server;
        let data_dir = args.data_dir.clone().or(server.data_dir).ok_or_else(|| {
            usage("no data directory is given")
                .hint("give it with `--data-dir DIR`, or as `server.data_dir` in the file")
        })?;
        let data_dir = DataDir::new(&data_dir)?;
        let root_key = RootKeyArgs {
            root_key_file: args.root_key.root_key_file.clone().or(server.root_key_file),
            passphrase_file: args.root_key.passphrase_file.clone().or(server.passphrase_file),
        };
        let root_key = RootKeyPlace::find(root_key, &data_dir, environment);
        let listen = match args.listen.or(server.listen) {
            Some(listen) => listen,
            None => DEFAULT_LISTEN.parse().map_err(|_| usage("the default address is not an address"))?,
        };
        let tls = (args.tls_cert.clone().or(server.tls_cert), args.tls_key.clone().or(server.tls_key));
        let transport = transport(listen, tls, args.behind_proxy || server.behind_proxy)?;
        let stated_url = args.public_url.clone().or(server.public_url).map(|url| checked_url(&url)).transpose()?;
        Ok(Self {
            engine_kind: args.engine,
            root_key,
            listen,
            transport,
            stated_url,
            registries: registries(file.registry, &args.insecure_registry)?,
            image_disk_budget: file.images.disk_budget,
            keep_versions: file.secrets.keep_versions.map_or(KEEP_VERSIONS, NonZeroU32::get),
            keep_deleted_days: file.secrets.keep_deleted_days.unwrap_or(KEEP_DELETED_DAYS),
            session_grace: Duration::from_secs(file.sessions.grace_seconds.unwrap_or(GRACE_SECONDS).into()),
            limits: file.limits.over(Limits::default()),
            engine: embedded(file.engine, data_dir.engine())?,
            data_dir,
        })
    }
}

fn embedded(section: file::EngineSection, root: PathBuf) -> Result<EmbeddedConfig, Failure> {
    let defaults = EmbeddedConfig::default();
    let subnet_pool = match section.subnet_pool {
        None => defaults.subnet_pool,
        Some(text) => text.parse().map_err(|why| {
            usage(format!("`subnet_pool` under [engine] {why}")).hint("such as subnet_pool = \"10.213.0.0/16\"")
        })?,
    };
    let first_id = section.first_id.unwrap_or(defaults.first_id);
    Ok(EmbeddedConfig { root, subnet_pool, first_id, force_loop: section.force_loop, ..defaults })
}

fn transport(
    listen: SocketAddr,
    tls: (Option<PathBuf>, Option<PathBuf>),
    behind_proxy: bool,
) -> Result<Transport, Failure> {
    match tls {
        (Some(_), Some(_)) if behind_proxy => {
            Err(usage("`--behind-proxy` and `--tls-cert` exclude each other").hint("the proxy does TLS, or meshkeep does"))
        }
        (Some(cert), Some(key)) => Ok(Transport::Tls { cert, key }),
        (None, None) if behind_proxy => Ok(Transport::BehindProxy),
        (None, None) if listen.ip().is_loopback() => Ok(Transport::Loopback),
        (None, None) => Err(usage(format!("{listen} can be reached from other machines, and nothing encrypts what travels"))
            .hint("give `--tls-cert` and `--tls-key`, or `--behind-proxy` when a proxy in front does TLS, or listen on 127.0.0.1")),
        _ => Err(usage("`--tls-cert` and `--tls-key` belong together").hint("give both files, or neither")),
    }
}

fn registries(
    sections: std::collections::BTreeMap<String, meshkeep_image::HostSettings>,
    insecure: &[String],
) -> Result<RegistrySettings, Failure> {
    let host = |text: &str| -> Result<RegistryHost, Failure> {
        text.parse().map_err(|why| usage(format!("the registry `{}` {why}", shown(text))))
    };
    let mut settings = RegistrySettings::default();
    for (text, section) in sections {
        let host = host(&text)?;
        if let Some(file) = section.ca_file.as_deref().filter(|file| !file.is_file()) {
            return Err(usage(format!("`ca_file` of the registry {host} is not a file: {}", file.display())));
        }
        if settings.hosts.insert(host.clone(), section).is_some() {
            return Err(usage(format!("the registry {host} has two sections")));
        }
    }
    for text in insecure {
        settings.hosts.entry(host(text)?).or_default().insecure = true;
    }
    Ok(settings)
}

/// Arguments are the operator's own words, but bounded and printable.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}

fn usage(message: impl Into<String>) -> Failure {
    Failure::new(Exit::Usage, message)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        serve: ServeArgs,
    }

    fn merged(line: &str, file: &str) -> Result<ServerConfig, String> {
        let words = std::iter::once("serve").chain(line.split_whitespace());
        let args = Line::try_parse_from(words).map_err(|error| error.to_string())?.serve;
        let file = ConfigFile::parse(file).map_err(|failure| failure.to_string())?;
        ServerConfig::merge(&args, file, &Environment::default()).map_err(|failure| failure.to_string())
    }

    #[test]
    fn the_command_line_wins_over_the_file() {
        let file = "[server]\ndata_dir = '/srv/a'\nlisten = '127.0.0.1:1'\nroot_key_file = '/k'\n";
        let config = merged("--data-dir /srv/b --listen [::1]:2", file).unwrap();
        assert_eq!(config.data_dir.path(), std::path::Path::new("/srv/b"));
        assert_eq!(config.listen.to_string(), "[::1]:2");
        assert_eq!(config.root_key.file, PathBuf::from("/k"));
        assert_eq!(config.public_url(), "http://[::1]:2");
        assert_eq!(merged("--data-dir /srv/b/", "").unwrap().root_key.file, PathBuf::from("/srv/b.root-key"));
    }

    #[test]
    fn what_travels_off_loopback_is_encrypted_or_said_to_be() {
        let refused = merged("--data-dir d --listen 0.0.0.0:1", "").unwrap_err();
        assert!(refused.contains("--tls-cert") && refused.contains("--behind-proxy"), "{refused}");
        assert!(merged("--data-dir d --listen [::]:1", "").is_err());
        assert_eq!(
            merged("--data-dir d --listen 0.0.0.0:1 --behind-proxy", "").unwrap().transport,
            Transport::BehindProxy
        );
        let tls = merged("--data-dir d --listen 0.0.0.0:1 --tls-cert c --tls-key k", "").unwrap();
        assert!(matches!(tls.transport, Transport::Tls { .. }));
        assert_eq!(tls.public_url(), "https://0.0.0.0:1");
        assert!(merged("--data-dir d --tls-cert c", "").is_err());
        assert!(merged("--data-dir d --tls-cert c --tls-key k --behind-proxy", "").is_err());
    }

    #[test]
    fn registries_come_from_both() {
        let file = "[registry.\"Registry.Example\"]\nallow_private = true\n";
        let config = merged("--data-dir d --insecure-registry 127.0.0.1:5000", file).unwrap();
        let host = |text: &str| config.registries.host(&text.parse().unwrap());
        assert!(host("registry.example").allow_private && !host("registry.example").insecure);
        assert!(host("127.0.0.1:5000").insecure);
        assert!(merged("--data-dir d --insecure-registry http://x", "").unwrap_err().contains("registry"));
        let twice = "[registry.'docker.io']\n[registry.'index.docker.io']\n";
        assert!(merged("--data-dir d", twice).unwrap_err().contains("two sections"));
    }

    #[test]
    fn the_engine_is_told_what_the_file_says() {
        let engine =
            merged("--data-dir /d", "[engine]\nsubnet_pool = '10.9.0.0/16'\nfirst_id = 5\nforce_loop = true\n");
        let engine = engine.unwrap().engine;
        assert_eq!(engine.root, PathBuf::from("/d/engine"));
        assert_eq!(engine.subnet_pool.to_string(), "10.9.0.0/16");
        assert_eq!((engine.first_id, engine.force_loop), (5, true));
        let refused = merged("--data-dir /d", "[engine]\nsubnet_pool = '8.8.0.0/16'\n").unwrap_err();
        assert!(refused.contains("subnet_pool") && refused.contains("private network"), "{refused}");
    }

    #[test]
    fn services_are_told_a_url_that_is_not_their_own_loopback() {
        let url = |line: &str| merged(&format!("--data-dir d {line}"), "").unwrap().service_url();
        assert_eq!(url(""), "http://meshkeep:4680");
        assert_eq!(url("--listen [::1]:2"), "http://meshkeep:2");
        assert_eq!(url("--listen 0.0.0.0:3 --behind-proxy"), "http://meshkeep:3");
        assert_eq!(url("--listen 192.0.2.1:4 --tls-cert c --tls-key k"), "https://meshkeep:4");
        assert_eq!(url("--public-url https://mesh.example/x/"), "https://mesh.example/x");
        assert_eq!(url("--public-url https://192.0.2.1"), "https://192.0.2.1");
        assert_eq!(url("--public-url http://localhost:9"), "http://meshkeep:4680");
    }
}
