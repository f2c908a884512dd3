//! A service manifest from a file.

use std::path::PathBuf;

use meshkeep_core::{manifest, service::ServiceSpec};

use super::text;
use crate::failure::{Exit, Failure};

/// Where the manifest is.
#[derive(Debug, clap::Args)]
pub struct ManifestArgs {
    /// The manifest, YAML or JSON (`-` is standard input)
    #[arg(long, short, value_name = "PATH")]
    file: PathBuf,
}

impl ManifestArgs {
    /// Reads its shape; the server checks its meaning.
    ///
    /// # Errors
    /// A usage failure with line and column.
    pub fn read(&self) -> Result<ServiceSpec, Failure> {
        // A manifest may hold values in its `environment`.
        let text = text(&self.file)?;
        let spec: ServiceSpec = manifest::from_yaml(text.expose())
            .map_err(|refusal| Failure::refusal(Exit::Usage, refusal).within(&self.file))?;
        Ok(ServiceSpec { id: None, ..spec })
    }
}
