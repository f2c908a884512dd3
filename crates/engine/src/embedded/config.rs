//! What the embedded engine is told, and why it may not open.

use std::{
    fs::{self, DirBuilder},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::PathBuf,
};

use super::{
    ids,
    net::{Entrances, Ipv4Pool},
};

/// Settings of the embedded engine.
#[derive(Clone, Debug)]
pub struct EmbeddedConfig {
    /// Its directory, made when missing. No other process may use it.
    pub root: PathBuf,
    /// IPv4 networks of sessions are taken from this one.
    pub subnet_pool: Ipv4Pool,
    /// How services reach the server that this engine is part of; not at all when `None`.
    pub entrances: Option<Entrances>,
    /// First host id of the range that stored files belong to, and above it the ranges that workloads' user namespaces are
    /// mapped to.
    pub first_id: u32,
    /// Mount layers over loop devices even where the kernel mounts files.
    pub force_loop: bool,
    /// What is executed as `PROGRAM runtime-child` for each workload; it must call [`crate::runtime_child`].
    pub child_program: PathBuf,
}

impl Default for EmbeddedConfig {
    fn default() -> Self {
        Self {
            root: PathBuf::from("/var/lib/meshkeep/engine"),
            subnet_pool: Ipv4Pool::default(),
            entrances: None,
            first_id: ids::FIRST_ID,
            force_loop: false,
            child_program: PathBuf::from("/proc/self/exe"),
        }
    }
}

impl EmbeddedConfig {
    /// Makes the engine's directories, 0700; the root's path without links.
    pub(super) fn make_dirs(&self) -> Result<PathBuf, OpenError> {
        let failed = |path: &PathBuf| {
            let path = path.clone();
            move |source| OpenError::Io { what: "cannot make the engine's directory", path, source }
        };
        let make = |path: &PathBuf| DirBuilder::new().recursive(true).mode(0o700).create(path);
        make(&self.root).map_err(failed(&self.root))?;
        let root = self.root.canonicalize().map_err(failed(&self.root))?;
        fs::set_permissions(&root, fs::Permissions::from_mode(0o700)).map_err(failed(&root))?;
        for name in ["workloads", "networks", "stage"] {
            let path = root.join(name);
            make(&path).map_err(failed(&path))?;
        }
        Ok(root)
    }
}

/// Why the engine did not open. Each is one sentence that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Not root.
    #[error("the embedded engine needs root to make namespaces and mounts; start meshkeep as root")]
    NotRoot,
    /// A privilege of root was taken away.
    #[error("the embedded engine needs {0}; when meshkeep runs in a container, run that one privileged")]
    Privilege(&'static str),
    /// The kernel lacks something.
    #[error("this kernel has no {feature}; {remedy}")]
    Kernel {
        /// What is missing.
        feature: &'static str,
        /// What helps.
        remedy: &'static str,
    },
    /// The kernel has user namespaces and does not give one to this process.
    #[error(
        "the kernel refuses a new user namespace ({0}); do not start meshkeep in a chroot, nor under a rule of the host that forbids them"
    )]
    UserNamespace(#[source] std::io::Error),
    /// The ranges of ids do not fit below 2³².
    #[error("no range of 65536 ids fits above `engine.first_id` = {0}; give a smaller one")]
    FirstId(u32),
    /// Networks could not be set up.
    #[error("session networks cannot be made: {0}")]
    Network(#[source] super::net::NetError),
    /// A file of the engine could not be used.
    #[error("{what} {}: {source}; check the disk and who owns it", path.display())]
    Io {
        /// What was being done.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// What happened.
        source: std::io::Error,
    },
}
