//! `meshkeep service validate`: what can be checked of a manifest without the server.

use meshkeep_core::manifest;

use crate::{
    cmd::{Context, input::ManifestArgs},
    failure::{Exit, Failure},
};

/// `service validate`.
#[derive(Debug, clap::Args)]
pub struct ValidateArgs {
    #[command(flatten)]
    manifest: ManifestArgs,
}

pub(super) fn run(context: &Context, args: &ValidateArgs) -> Result<(), Failure> {
    let spec = args.manifest.read()?;
    let checked = manifest::check(&spec).map_err(|refusal| Failure::refusal(Exit::Usage, refusal))?;
    let name = checked.name;
    context.out.did("valid", name.as_str(), &format!("The manifest of {name} is good, as far as it says by itself."))
}
