//! What stands in the editor of an image pull secret, and what is known of common registries.

use std::collections::BTreeMap;

use meshkeep_core::{Refusal, SecretText};

use crate::studio::fields::Fields;

/// How a registry wants its credential.
pub(super) struct Preset {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    pub(super) server: &'static str,
    pub(super) username: &'static str,
    pub(super) hint: &'static str,
}

/// Kept in the order of the page.
pub(super) const PRESETS: [Preset; 6] = [
    Preset {
        id: "docker",
        name: "Docker Hub",
        server: "docker.io",
        username: "",
        hint: "Your Docker ID, and a personal access token with the permission to read.",
    },
    Preset {
        id: "github",
        name: "GitHub",
        server: "ghcr.io",
        username: "",
        hint: "Your GitHub name, and a classic personal access token with read:packages.",
    },
    Preset {
        id: "azure",
        name: "Azure Container Registry",
        server: "NAME.azurecr.io",
        username: "",
        hint: "The name of a repository-scoped token and its password, or a service principal's id and secret.",
    },
    Preset {
        id: "google",
        name: "Google Artifact Registry",
        server: "REGION-docker.pkg.dev",
        username: "_json_key",
        hint: "The user name stays _json_key; the password is the whole JSON key of a service account. Drop the file on the field.",
    },
    Preset {
        id: "amazon",
        name: "Amazon ECR",
        server: "ACCOUNT.dkr.ecr.REGION.amazonaws.com",
        username: "",
        hint: "The id of an access key (AKIA…) of a user that may only pull, and its secret access key. Amazon's passwords end after 12 hours; meshkeep asks for them itself.",
    },
    Preset {
        id: "other",
        name: "Other",
        server: "",
        username: "",
        hint: "Host, and port where it is not 443. With the beginning of a path behind it, it is for the images below that.",
    },
];

/// The editor.
#[derive(Default)]
pub(super) struct PullForm {
    pub(super) name: String,
    pub(super) version: u32,
    pub(super) preset: String,
    pub(super) server: String,
    pub(super) username: String,
    /// As typed now; blank keeps what is stored.
    pub(super) password: SecretText,
    /// To try it against.
    pub(super) image: String,
}

impl PullForm {
    /// Filled from a stored one, whose password stays where it is.
    pub(super) fn of(name: &str, version: u32, members: &BTreeMap<String, String>) -> Self {
        let member = |name: &str| members.get(name).cloned().unwrap_or_default();
        Self {
            name: name.to_owned(),
            version,
            server: member("server"),
            username: member("username"),
            ..Self::default()
        }
    }

    /// As a browser sends it.
    pub(super) fn read(fields: &Fields) -> Self {
        let text = |name: &str| fields.one(name).unwrap_or_default().trim().to_owned();
        Self {
            name: text("name"),
            version: text("version").parse().unwrap_or_default(),
            preset: text("preset"),
            server: text("server"),
            username: text("username"),
            password: SecretText::new(fields.one("password").unwrap_or_default().replace("\r\n", "\n")),
            image: text("image"),
        }
    }

    /// Fills in what the chosen registry always has.
    pub(super) fn fill(&mut self) {
        if let Some(preset) = PRESETS.iter().find(|preset| preset.id == self.preset) {
            preset.server.clone_into(&mut self.server);
            preset.username.clone_into(&mut self.username);
        }
    }

    /// What the chosen registry wants.
    pub(super) fn hint(&self) -> &'static str {
        PRESETS.iter().find(|preset| preset.id == self.preset).map_or("", |preset| preset.hint)
    }

    /// The members that a save sends; a password that is blank is not among them.
    pub(super) fn members(&self) -> BTreeMap<String, SecretText> {
        let mut members = BTreeMap::from([
            ("server".to_owned(), SecretText::new(self.server.clone())),
            ("username".to_owned(), SecretText::new(self.username.clone())),
        ]);
        if !self.password.is_empty() {
            members.insert("password".to_owned(), self.password.clone());
        }
        members
    }

    /// Whether the refusal is about this field.
    pub(super) fn is_about(&self, refusal: Option<&Refusal>, field: &str) -> bool {
        refusal.is_some_and(|refusal| refusal.field.rsplit('.').next() == Some(field))
    }
}
