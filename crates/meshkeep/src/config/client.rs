//! Where the client commands go and as whom: the command line over the environment over the default.

use meshkeep_core::{SecretText, api_key::ApiKeyText, id::ProjectId};
use reqwest::Url;

use super::{ClientEnvironment, DEFAULT_LISTEN};
use crate::failure::{Exit, Failure};

/// Which server, which project.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Everywhere")]
pub struct ClientArgs {
    /// Print one JSON document
    #[arg(long, global = true)]
    pub json: bool,

    /// The server [default: $MESHAGENT_API_URL, else http://127.0.0.1:4680]
    #[arg(long, global = true, value_name = "URL")]
    pub api_url: Option<String>,

    /// The project's id [default: $MESHAGENT_PROJECT_ID, else the key's own]
    #[arg(long, global = true, value_name = "ID")]
    pub project: Option<String>,
}

/// What a client needs to know.
#[derive(Debug)]
pub struct ClientConfig {
    /// The server; may have a path of its own.
    pub api_url: Url,
    /// Sent as Bearer.
    pub credential: SecretText,
    /// The project of every call.
    pub project: ProjectId,
}

impl ClientConfig {
    /// Puts the command line over the environment.
    ///
    /// # Errors
    /// A usage failure that names what is missing or wrong.
    pub fn load(args: &ClientArgs, environment: ClientEnvironment) -> Result<Self, Failure> {
        let words = |text: Option<std::ffi::OsString>| text.map(|text| text.to_string_lossy().into_owned());
        let url = args.api_url.clone().or_else(|| words(environment.api_url));
        let api_url = server(url.as_deref().unwrap_or(&format!("http://{DEFAULT_LISTEN}")))?;
        let credential = environment.credential.ok_or_else(|| {
            Failure::usage("there is no API key to sign in with")
                .hint("set MESHAGENT_API_KEY to a key that `meshkeep init` or `meshkeep key create` showed")
        })?;
        let stated = args.project.clone().or_else(|| words(environment.project));
        let project = match stated {
            Some(text) => text.trim().parse().map_err(|why| {
                Failure::usage(format!("the project {why}")).hint("check `--project`, or MESHAGENT_PROJECT_ID")
            })?,
            None => project_of(&credential)?,
        };
        Ok(Self { api_url, credential, project })
    }
}

fn server(text: &str) -> Result<Url, Failure> {
    let bad = || {
        Failure::usage("the server's address is not an http or https URL without user, query and fragment")
            .hint("check `--api-url`, or MESHAGENT_API_URL, such as https://meshkeep.example.com")
    };
    let url = Url::parse(text.trim()).map_err(|_| bad())?;
    let plain = url.username().is_empty() && url.password().is_none();
    let ends = url.query().is_none() && url.fragment().is_none();
    let reachable = matches!(url.scheme(), "http" | "https") && url.host().is_some();
    if plain && ends && reachable { Ok(url) } else { Err(bad()) }
}

/// A key says which project it is of.
fn project_of(credential: &SecretText) -> Result<ProjectId, Failure> {
    ApiKeyText::parse(credential.expose()).map(|key| key.project).map_err(|_| {
        Failure::new(Exit::Usage, "the credential is no API key (ma-…), so it does not say which project it is of")
            .hint("check MESHAGENT_API_KEY, or name the project with `--project` or MESHAGENT_PROJECT_ID")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ma-qqqqqru7TMyN3e7u7u7u7g-ERERESIiQzOERFVVVVVVVQ-s3cr3t";
    const OWN: &str = "11111111-2222-4333-8444-555555555555";
    const OTHER: &str = "11111111-2222-4333-8444-666666666666";

    fn load(
        args: ClientArgs,
        url: Option<&str>,
        key: Option<&str>,
        project: Option<&str>,
    ) -> Result<ClientConfig, String> {
        let environment = ClientEnvironment {
            api_url: url.map(Into::into),
            credential: key.map(Into::into),
            project: project.map(Into::into),
        };
        ClientConfig::load(&args, environment).map_err(|failure| failure.to_string())
    }

    #[test]
    fn a_key_is_enough() {
        let config = load(ClientArgs::default(), None, Some(KEY), None).unwrap();
        assert_eq!(config.api_url.as_str(), "http://127.0.0.1:4680/");
        assert_eq!(config.project.to_string(), OWN);
    }

    #[test]
    fn the_command_line_wins() {
        let args = ClientArgs { json: false, api_url: Some("https://a/x".to_owned()), project: Some(OTHER.to_owned()) };
        let config = load(args, Some("http://b"), Some(KEY), Some(OWN)).unwrap();
        assert_eq!((config.api_url.as_str(), config.project.to_string().as_str()), ("https://a/x", OTHER));
        let config = load(ClientArgs::default(), Some("http://b"), Some(KEY), Some(OTHER)).unwrap();
        assert_eq!((config.api_url.as_str(), config.project.to_string().as_str()), ("http://b/", OTHER));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named_and_no_key_is_repeated() {
        let refused = |url, key, project| load(ClientArgs::default(), url, key, project).unwrap_err();
        assert!(refused(None, None, None).contains("MESHAGENT_API_KEY"));
        let no_key = refused(None, Some("hunter2"), None);
        assert!(no_key.contains("MESHAGENT_PROJECT_ID") && !no_key.contains("hunter2"), "{no_key}");
        assert!(refused(None, Some(KEY), Some("x")).contains("MESHAGENT_PROJECT_ID"));
        for url in ["x", "ftp://x", "http://u:p@x", "http://x?a", "http://x#a"] {
            assert!(refused(Some(url), Some(KEY), None).contains("MESHAGENT_API_URL"), "{url}");
        }
    }
}
