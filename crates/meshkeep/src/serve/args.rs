//! The command line of `serve`.

use std::{net::SocketAddr, path::PathBuf};

use crate::root_key::RootKeyArgs;

/// Run the server.
#[derive(Debug, clap::Args)]
pub struct ServeArgs {
    /// The directory that `meshkeep init` made
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// Where to listen [default: 127.0.0.1:4680]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,

    /// What runs workloads
    #[arg(long, value_enum, default_value_t = EngineKind::Embedded)]
    pub engine: EngineKind,

    #[command(flatten)]
    pub root_key: RootKeyArgs,

    /// A registry that speaks plain http; may be given several times
    #[arg(long, value_name = "HOST:PORT")]
    pub insecure_registry: Vec<String>,

    /// Certificate chain, PEM; read again when it changes
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,

    /// Private key of the certificate, PEM
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<PathBuf>,

    /// A proxy in front does TLS and appends the caller's address to X-Forwarded-For
    #[arg(long)]
    pub behind_proxy: bool,

    /// The URL under which clients and services reach this server [default: where it listens]
    #[arg(long, value_name = "URL")]
    pub public_url: Option<String>,

    /// Settings; the command line wins over them
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// What is logged, such as `info` or `warn,meshkeep_engine=debug`
    #[arg(long, value_name = "FILTER", default_value = "info")]
    pub log: String,
}

/// The engines there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum EngineKind {
    /// Namespaces, cgroups and mounts of this machine, nothing else installed.
    Embedded,
}

impl EngineKind {
    /// The word on the command line and in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
        }
    }
}
