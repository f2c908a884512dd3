//! `meshkeep service environment`: winners and losers, without values.

use meshkeep_core::{
    service::ServiceSpec,
    wire::{EnvironmentPreview, VariableSource},
};
use reqwest::Method;

use super::ScopeArgs;
use crate::{
    cmd::{Context, input::ManifestArgs, output::Table, resolve},
    failure::Failure,
};

/// `service environment`.
#[derive(Debug, clap::Args)]
#[command(override_usage = "meshkeep service environment [OPTIONS] <SERVICE|--file <PATH>>")]
pub struct EnvironmentArgs {
    /// Its id or name; or else a manifest that need not be saved
    #[arg(value_name = "SERVICE", required_unless_present = "file", conflicts_with = "file")]
    service: Option<String>,

    #[command(flatten)]
    manifest: Option<ManifestArgs>,

    #[command(flatten)]
    scope: ScopeArgs,
}

pub(super) async fn run(context: &Context, args: EnvironmentArgs) -> Result<(), Failure> {
    let room = args.scope.room();
    let mut path = resolve::services(room);
    let spec: ServiceSpec = match (args.service, args.manifest) {
        (Some(service), _) => {
            let id = resolve::service_id(&context.client, room, &service).await?.to_string();
            let one: Vec<_> = path.iter().copied().chain([id.as_str()]).collect();
            context.client.get(&one).await?
        }
        (None, Some(manifest)) => manifest.read()?,
        (None, None) => return Err(Failure::usage("which service?")),
    };
    path.push("environment");
    let preview: EnvironmentPreview = context.client.call(Method::POST, &path).body(&spec)?.answer().await?;
    context.out.show(&preview, |preview| {
        let mut table = Table::new(["NAME", "FROM", "HIDES"], "No variables.");
        for variable in &preview.variables {
            let hides: Vec<_> = variable.hides.iter().map(source).collect();
            table.row([variable.name.to_string(), source(&variable.from), hides.join(", ")]);
        }
        format!("{table}\nThe image's own variables are known at the launch; all of these hide them.")
    })
}

fn source(source: &VariableSource) -> String {
    match source {
        VariableSource::Image => "image".to_owned(),
        VariableSource::Platform => "meshkeep".to_owned(),
        VariableSource::Secret { secret } => format!("secret key {secret}"),
        VariableSource::Issued => "made at the launch".to_owned(),
        VariableSource::RoomSecret => "a participant's secret".to_owned(),
        VariableSource::Manifest => "environment".to_owned(),
    }
}
