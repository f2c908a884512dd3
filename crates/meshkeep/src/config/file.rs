//! `meshkeep.toml`, member for member. A sample is in `docs/meshkeep.toml`; a test parses it.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    num::NonZeroU32,
    path::{Path, PathBuf},
};

use meshkeep_engine::Limits;
use meshkeep_image::HostSettings;
use serde::Deserialize;

use super::{size, usage};
use crate::failure::Failure;

/// Bytes of the file at most.
const MAX_BYTES: u64 = 1 << 20;

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConfigFile {
    /// The server itself.
    pub server: ServerSection,
    /// The embedded engine.
    pub engine: EngineSection,
    /// The layer store.
    pub images: ImagesSection,
    /// Bounds of a workload whose manifest states none.
    pub limits: LimitsSection,
    /// Secrets.
    pub secrets: SecretsSection,
    /// Sessions.
    pub sessions: SessionsSection,
    /// Registries that are not wholly ordinary, by `host[:port]`.
    pub registry: BTreeMap<String, HostSettings>,
}

/// `[server]`: the same words as the command line.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerSection {
    /// `--data-dir`
    pub data_dir: Option<PathBuf>,
    /// `--root-key-file`
    pub root_key_file: Option<PathBuf>,
    /// `--passphrase-file`
    pub passphrase_file: Option<PathBuf>,
    /// `--listen`
    pub listen: Option<SocketAddr>,
    /// `--public-url`
    pub public_url: Option<String>,
    /// `--tls-cert`
    pub tls_cert: Option<PathBuf>,
    /// `--tls-key`
    pub tls_key: Option<PathBuf>,
    /// `--behind-proxy`
    pub behind_proxy: bool,
}

/// `[engine]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EngineSection {
    /// IPv4 networks of sessions are taken from this one, such as `10.213.0.0/16`.
    pub subnet_pool: Option<String>,
    /// First host id of the ranges that workloads' user namespaces are mapped to.
    pub first_id: Option<u32>,
    /// Mount layers over loop devices even where the kernel mounts files.
    pub force_loop: bool,
}

/// `[images]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ImagesSection {
    /// Bytes that all layers may take, such as `20GiB`.
    #[serde(deserialize_with = "size::optional")]
    pub disk_budget: Option<u64>,
}

/// `[secrets]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SecretsSection {
    /// Versions that a secret keeps, the newest ones; those that running sessions use are kept as well.
    pub keep_versions: Option<NonZeroU32>,
    /// Days for which a deleted secret can be restored.
    pub keep_deleted_days: Option<u32>,
}

/// `[sessions]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SessionsSection {
    /// Seconds that a session stays after its last participant has left.
    pub grace_seconds: Option<u32>,
}

/// `[limits]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsSection {
    /// Memory, such as `512MiB`.
    #[serde(deserialize_with = "size::optional")]
    pub memory: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u32>,
    /// Log kept on disk, such as `16MiB`.
    #[serde(deserialize_with = "size::optional")]
    pub log: Option<u64>,
}

impl LimitsSection {
    /// What is stated here, over `defaults`.
    #[must_use]
    pub fn over(&self, defaults: Limits) -> Limits {
        Limits {
            memory_bytes: self.memory.unwrap_or(defaults.memory_bytes),
            pids: self.pids.unwrap_or(defaults.pids),
            log_bytes: self.log.unwrap_or(defaults.log_bytes),
        }
    }
}

impl ConfigFile {
    /// Reads a file.
    ///
    /// # Errors
    /// A usage failure with the line that does not fit.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let unreadable = |why: &dyn std::fmt::Display| usage(format!("{} cannot be read: {why}", path.display()));
        let size = fs::metadata(path).map_err(|error| unreadable(&error))?.len();
        if size > MAX_BYTES {
            return Err(unreadable(&"it is larger than 1 MiB"));
        }
        let text = fs::read_to_string(path).map_err(|error| unreadable(&error))?;
        Self::parse(&text).map_err(|failure| failure.within(path))
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// A usage failure with the line that does not fit.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            let why = error.message().lines().next().unwrap_or("does not fit").to_owned();
            usage(format!("line {line}: {why}")).hint("docs/meshkeep.toml lists every setting")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_whole_and_fits() {
        let sample = include_str!("../../../../docs/meshkeep.toml");
        // In the sample every setting stands as a comment `#name = value`; without the mark it is a full file.
        let full: String = sample
            .lines()
            .map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line))
            .map(|line| format!("{line}\n"))
            .collect();
        ConfigFile::parse(sample).map_err(|failure| failure.to_string()).unwrap();
        let file = ConfigFile::parse(&full).map_err(|failure| failure.to_string()).unwrap();
        assert!(file.server.data_dir.is_some() && file.server.tls_key.is_some() && file.server.public_url.is_some());
        assert!(file.engine.subnet_pool.is_some() && file.engine.first_id.is_some());
        assert_eq!(file.images.disk_budget, Some(20 << 30));
        assert_eq!(file.secrets.keep_deleted_days, Some(super::super::KEEP_DELETED_DAYS));
        assert_eq!(file.sessions.grace_seconds, Some(super::super::GRACE_SECONDS));
        assert_eq!(file.limits.over(Limits::default()), Limits::default(), "the sample shows the defaults");
        assert!(file.registry.values().any(|section| section.ca_file.is_some()));
    }

    #[test]
    fn what_is_not_known_is_refused_with_its_line() {
        for (text, line, word) in [
            ("[server]\nlisten = '127.0.0.1:1'\nlisen = 'x'\n", "line 3", "lisen"),
            ("[sever]\n", "line 1", "sever"),
            ("[limits]\nmemory = '12 parsecs'\n", "line 2", "KiB"),
            ("[limits]\n\npids = 'x'\n", "line 3", "u32"),
            ("[registry.\"r.example\"]\ninsecur = true\n", "line 2", "insecur"),
            ("[server\n", "line 1", ""),
        ] {
            let failure = ConfigFile::parse(text).unwrap_err().to_string();
            assert!(failure.contains(line) && failure.contains(word), "{failure}");
        }
    }
}
