//! The page of the editor: what it shows of a form, and how that is found out.

use askama::Template;
use meshkeep_control::{Control, ImageCheck, Scope};
use meshkeep_core::{
    Refusal,
    access::Action,
    id::ServiceId,
    manifest::{KNOWN_CAPABILITIES, from_yaml, pull_secret_field},
    secret::SecretKind,
    service::ServiceSpec,
    wire::{PreviewedVariable, RollingRestart, SecretItem, VariableSource},
};

use super::form::ServiceForm;
use crate::{
    error::ApiError,
    studio::{
        fields::Fields,
        frame::{Frame, Section},
        text::count,
        visit::Visit,
    },
};

/// Secrets of one kind that a list offers; a page stays light however many there are.
const MOST_CHOICES: usize = 200;

/// What a service begins as.
const EMPTY: &str = "version: v1\nkind: Service\nmetadata: {name: ''}\ncontainer: {image: ''}\n";

/// The editor's content: fields, or the manifest as text. Each becomes the other at the press of a tab.
pub(super) enum Draft {
    Form(Box<ServiceForm>),
    Yaml(String),
}

impl Draft {
    /// For a new service.
    pub(super) fn empty() -> Self {
        Self::of(&from_yaml(EMPTY).expect("a manifest"))
    }

    /// Of a stored one, as it may be shown.
    pub(super) fn of(spec: &ServiceSpec) -> Self {
        Self::Form(Box::new(ServiceForm::of(spec)))
    }

    /// As a browser sends it.
    pub(super) fn read(fields: &Fields) -> Self {
        match fields.one("yaml") {
            Some(text) => Self::Yaml(text.replace("\r\n", "\n")),
            None => Self::Form(Box::new(ServiceForm::read(fields))),
        }
    }

    /// Ids of the secrets that its fields name.
    fn secrets(&self) -> Vec<String> {
        match self {
            Self::Form(form) => form.secrets.iter().chain(&form.pull_secrets).cloned().collect(),
            Self::Yaml(_) => Vec::new(),
        }
    }

    /// The manifest that it says.
    ///
    /// # Errors
    /// What is no manifest, by field or line.
    pub(super) fn spec(&self) -> Result<ServiceSpec, Refusal> {
        match self {
            Self::Form(form) => form.spec(),
            Self::Yaml(text) => from_yaml(text),
        }
    }

    /// The other tab, with what stands in this one.
    ///
    /// # Errors
    /// What is no manifest, by field or line.
    pub(super) fn turned(&self, to_yaml: bool) -> Result<Self, Refusal> {
        let spec = self.spec()?;
        if !to_yaml {
            return Ok(Self::of(&spec));
        }
        let text = serde_saphyr::to_string(&spec);
        text.map(Self::Yaml).map_err(|_| Refusal::invalid("manifest", "cannot be written as YAML"))
    }
}

/// A secret to choose.
pub(super) struct Choice {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) entries: usize,
    server: Option<String>,
}

#[derive(Template)]
#[template(path = "service.html")]
pub(super) struct Editor {
    frame: Frame,
    /// None for one that is not saved yet.
    pub(super) id: Option<ServiceId>,
    /// The room, for a service of one.
    room: Option<String>,
    may_manage: bool,
    may_bind: bool,
    may_see_secrets: bool,
    may_run: bool,
    pub(super) draft: Draft,
    secret_keys: Vec<Choice>,
    pull_secrets: Vec<Choice>,
    /// Whether there are more than these.
    has_more: bool,
    variables: Result<Vec<PreviewedVariable>, Refusal>,
    pub(super) refusal: Option<Refusal>,
    pub(super) is_saved: bool,
    rolling: Option<RollingRestart>,
}

impl Editor {
    /// The page of a draft.
    pub(super) async fn new(
        visit: &Visit,
        scope: &Scope,
        id: Option<ServiceId>,
        draft: Draft,
    ) -> Result<Self, ApiError> {
        let may = |action| visit.caller.may(visit.project, action).is_ok();
        let (mut secret_keys, mut pull_secrets) = (Vec::new(), Vec::new());
        let mut has_more = false;
        let named = draft.secrets();
        if may(Action::ReadSecrets) {
            for item in visit.control.list_secrets(&visit.caller, visit.project, false).await?.secrets {
                let list = if item.kind == SecretKind::Keys { &mut secret_keys } else { &mut pull_secrets };
                if list.len() < MOST_CHOICES || named.contains(&item.id.to_string()) {
                    list.push(Choice::of(item));
                } else {
                    has_more = true;
                }
            }
        }
        let spec = draft.spec();
        let title = match (&spec, id) {
            (Ok(spec), Some(_)) => spec.metadata.name.clone(),
            (Err(_), Some(_)) => "Service".to_owned(),
            (_, None) => "New service".to_owned(),
        };
        let variables = match &spec {
            Ok(spec) => visit.control.preview_environment(&visit.caller, visit.project, scope.clone(), spec).await,
            Err(refusal) => Err(refusal.clone()),
        };
        let rolling = match id {
            Some(id) => visit.control.rolling_restart(&visit.caller, visit.project, scope.clone(), id).await.ok(),
            None => None,
        };
        Ok(Self {
            frame: visit.frame(Section::Services, &title),
            id,
            room: match scope {
                Scope::Project => None,
                Scope::Room(room) => Some(room.to_string()),
            },
            may_manage: may(Action::ManageServices),
            may_bind: may(Action::Bind),
            may_see_secrets: may(Action::ReadSecrets),
            may_run: may(Action::RunSessions),
            draft,
            secret_keys,
            pull_secrets,
            has_more,
            variables: variables.map(|preview| preview.variables),
            refusal: None,
            is_saved: false,
            rolling,
        })
    }

    /// The service's page, or that of new ones.
    fn path(&self) -> String {
        let base = self.frame.base();
        let scope = self.room.as_ref().map(|room| format!("/rooms/{room}")).unwrap_or_default();
        match self.id {
            Some(id) => format!("{base}{scope}/services/{id}"),
            None => format!("{base}{scope}/services/new"),
        }
    }

    /// What is wrong with a member of the manifest, to stand beside its field.
    fn wrong(&self, field: &str) -> Option<&str> {
        self.refusal.as_ref().filter(|refusal| refusal.field == field).map(|refusal| refusal.message.as_str())
    }

    /// The same for a row.
    fn wrong_row(&self, list: &str, position: &usize) -> Option<&str> {
        let row = format!("{list}[{position}]");
        let refusal = self.refusal.as_ref()?;
        (refusal.field == row || refusal.field.starts_with(&format!("{row}."))).then_some(refusal.message.as_str())
    }

    /// What can be said of the image's name: where it is fetched from, the pull secret that is for it, and whether there
    /// are some of which none is.
    fn image(form: &ServiceForm, pull_secrets: &[Choice]) -> Option<(Result<String, String>, Option<String>, bool)> {
        let chosen = form.pull_secrets.iter().filter_map(|id| pull_secrets.iter().find(|choice| choice.id == *id));
        let (names, servers): (Vec<_>, Vec<_>) =
            chosen.filter_map(|choice| Some((&choice.name, choice.server.as_deref()?))).unzip();
        (!form.image.is_empty()).then(|| {
            let ImageCheck { registry, fitting } = Control::check_image(&form.image, &servers);
            (registry, fitting.map(|place| names[place].clone()), fitting.is_none() && !names.is_empty())
        })
    }

    /// The pull secrets by place, and one place more for another.
    fn pull_places<'a>(&self, form: &'a ServiceForm) -> Vec<&'a str> {
        let chosen = form.pull_secrets.iter().map(String::as_str);
        let has_more = self.may_bind && self.pull_secrets.len() > form.pull_secrets.len();
        let another = has_more || form.pull_secrets.is_empty();
        chosen.chain(another.then_some("")).collect()
    }

    /// Whether it is chosen and cannot be offered: it was deleted, or it is not for this caller to see.
    fn is_unknown_pull(&self, id: &str) -> bool {
        !id.is_empty() && self.pull_secrets.iter().all(|choice| choice.id != id)
    }

    /// What is wrong with the pull secret of a place. All further ones are one member of the manifest.
    fn wrong_pull(&self, place: &usize) -> Option<&str> {
        (*place < 2).then(|| self.wrong(&pull_secret_field(*place))).flatten()
    }

    /// The name of an attached secret key; its id when it is not there any more.
    fn secret_name<'a>(&'a self, id: &'a str) -> &'a str {
        self.secret_keys.iter().find(|choice| choice.id == id).map_or(id, |choice| &choice.name)
    }

    /// Secret keys that are not attached yet.
    fn attachable(&self, form: &ServiceForm) -> Vec<&Choice> {
        self.secret_keys.iter().filter(|choice| !form.secrets.contains(&choice.id)).collect()
    }
}

impl Choice {
    fn of(item: SecretItem) -> Self {
        Self {
            id: item.id.to_string(),
            name: item.name.to_string(),
            entries: item.data.len(),
            server: item.data.get("server").filter(|_| item.kind == SecretKind::Docker).cloned(),
        }
    }
}

/// Where a variable comes from, in words.
fn source(source: &VariableSource) -> String {
    match source {
        VariableSource::Image => "the image".to_owned(),
        VariableSource::Platform => "meshkeep".to_owned(),
        VariableSource::Secret { secret } => format!("secret key {secret}"),
        VariableSource::Issued => "made at the launch".to_owned(),
        VariableSource::RoomSecret => "a participant's secret".to_owned(),
        VariableSource::Manifest => "plain variable".to_owned(),
    }
}

/// Several of them.
fn sources(hidden: &[VariableSource]) -> String {
    hidden.iter().map(source).collect::<Vec<_>>().join(", ")
}
