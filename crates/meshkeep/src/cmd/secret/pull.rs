//! `meshkeep secret docker|acr|gar create|update`: three spellings of one kind of secret.

use std::collections::BTreeMap;

use clap::Args;
use meshkeep_core::{
    SecretText,
    wire::{SecretPatch, SecretSaved, SecretWrite},
};
use reqwest::Method;

use super::{ChangeArgs, Existing, NewName, show_saved};
use crate::{
    cmd::{
        Context,
        input::{JsonKeyArgs, PasswordArgs},
        resolve,
    },
    failure::Failure,
};

/// What the shape asks for and nobody uses.
const DOCKER_EMAIL: &str = "none@example.com";
const ACR_EMAIL: &str = "none@microsoft.com";
const GAR_EMAIL: &str = "none@google.com";
/// The user name under which Google takes a JSON key.
const GAR_USER: &str = "_json_key";

/// `secret docker`.
#[derive(Debug, clap::Subcommand)]
pub enum DockerVerb {
    /// Make a pull secret
    Create(CreateArgs),
    /// Change a pull secret; what is not given stays as it is
    Update(UpdateArgs),
}

/// `secret acr`.
#[derive(Debug, clap::Subcommand)]
pub enum AcrVerb {
    /// Make a pull secret
    Create(CreateArgs),
    /// Change a pull secret; what is not given stays as it is
    Update(UpdateArgs),
}

/// `secret gar`.
#[derive(Debug, clap::Subcommand)]
pub enum GarVerb {
    /// Make a pull secret
    Create(GarCreateArgs),
    /// Change a pull secret; what is not given stays as it is
    Update(GarUpdateArgs),
}

/// `create` of docker and acr.
#[derive(Debug, Args)]
pub struct CreateArgs {
    #[command(flatten)]
    name: NewName,

    /// The registry, such as registry.example.com:5000 or docker.io; with a path behind it, for the images below that
    #[arg(long, value_name = "HOST")]
    server: String,

    /// The user name
    #[arg(long, value_name = "USER")]
    username: String,

    /// An address that the shape asks for and nobody uses
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,

    #[command(flatten)]
    password: PasswordArgs,
}

/// `update` of docker and acr.
#[derive(Debug, Args)]
pub struct UpdateArgs {
    #[command(flatten)]
    secret: Existing,

    /// The registry; with a path behind it, for the images below that
    #[arg(long, value_name = "HOST")]
    server: Option<String>,

    /// The user name
    #[arg(long, value_name = "USER")]
    username: Option<String>,

    /// An address that the shape asks for and nobody uses
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,

    #[command(flatten)]
    password: PasswordArgs,

    #[command(flatten)]
    change: ChangeArgs,
}

/// `create` of gar.
#[derive(Debug, Args)]
pub struct GarCreateArgs {
    #[command(flatten)]
    name: NewName,

    /// The registry, such as europe-docker.pkg.dev; with a path behind it, for the images below that
    #[arg(long, value_name = "HOST")]
    server: String,

    #[command(flatten)]
    key: JsonKeyArgs,
}

/// `update` of gar.
#[derive(Debug, Args)]
pub struct GarUpdateArgs {
    #[command(flatten)]
    secret: Existing,

    /// The registry; with a path behind it, for the images below that
    #[arg(long, value_name = "HOST")]
    server: Option<String>,

    #[command(flatten)]
    key: JsonKeyArgs,

    #[command(flatten)]
    change: ChangeArgs,
}

/// Does it.
pub async fn docker(context: &Context, verb: DockerVerb) -> Result<(), Failure> {
    match verb {
        DockerVerb::Create(args) => create(context, args, DOCKER_EMAIL).await,
        DockerVerb::Update(args) => update(context, args).await,
    }
}

/// Does it.
pub async fn acr(context: &Context, verb: AcrVerb) -> Result<(), Failure> {
    match verb {
        AcrVerb::Create(args) => create(context, args, ACR_EMAIL).await,
        AcrVerb::Update(args) => update(context, args).await,
    }
}

/// Does it.
pub async fn gar(context: &Context, verb: GarVerb) -> Result<(), Failure> {
    match verb {
        GarVerb::Create(args) => {
            let key = args.key.read()?.ok_or_else(|| {
                Failure::usage("no key is given").hint("name the service account's key file with --json-key PATH")
            })?;
            let data = Data::default()
                .with("server", Some(args.server))
                .with("username", Some(GAR_USER.to_owned()))
                .with("email", Some(GAR_EMAIL.to_owned()))
                .with_secret("password", Some(key));
            post(context, args.name.get(), data).await
        }
        GarVerb::Update(args) => {
            let data = Data::default().with("server", args.server).with_secret("password", args.key.read()?);
            patch(context, args.secret, data, args.change).await
        }
    }
}

async fn create(context: &Context, args: CreateArgs, email: &str) -> Result<(), Failure> {
    let data = Data::default()
        .with_secret("password", Some(args.password.read_or_ask()?))
        .with("server", Some(args.server))
        .with("username", Some(args.username))
        .with("email", Some(args.email.unwrap_or_else(|| email.to_owned())));
    post(context, args.name.get(), data).await
}

async fn update(context: &Context, args: UpdateArgs) -> Result<(), Failure> {
    let named = Data::default().with("server", args.server).with("username", args.username).with("email", args.email);
    let only_password = named.0.is_empty() && args.change.name.is_none();
    let password = if only_password { Some(args.password.read_or_ask()?) } else { args.password.read()? };
    patch(context, args.secret, named.with_secret("password", password), args.change).await
}

#[derive(Default)]
struct Data(BTreeMap<String, SecretText>);

impl Data {
    fn with(self, member: &str, value: Option<String>) -> Self {
        self.with_secret(member, value.map(SecretText::new))
    }

    fn with_secret(mut self, member: &str, value: Option<SecretText>) -> Self {
        if let Some(value) = value {
            self.0.insert(member.to_owned(), value);
        }
        self
    }
}

async fn post(context: &Context, name: String, Data(data): Data) -> Result<(), Failure> {
    let write = SecretWrite { id: None, name, kind: "docker".to_owned(), data: Some(data), data_base64: None };
    let saved = context.client.call(Method::POST, &["secrets"]).body(&write)?.answer().await?;
    show_saved(context, &saved)
}

async fn patch(context: &Context, secret: Existing, Data(data): Data, change: ChangeArgs) -> Result<(), Failure> {
    if data.is_empty() && change.name.is_none() {
        return Err(Failure::usage("nothing is to be changed").hint("`--help` lists what can be"));
    }
    let id = resolve::secret_id(&context.client, &secret.get()).await?.to_string();
    let set = (!data.is_empty()).then_some(data);
    let patch = SecretPatch { name: change.name, set, unset: Vec::new() };
    let call = context.client.call(Method::PATCH, &["secrets", &id]).body(&patch)?;
    let saved: SecretSaved = call.if_version(change.if_version).answer().await?;
    show_saved(context, &saved)
}
