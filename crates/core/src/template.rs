//! Service templates (`kind: ServiceTemplate`): Jinja2 over the whole text, then a manifest.
//!
//! What must stay true: a template is bounded in steps and in size; it cannot name a project's secrets; a value of a
//! variable that is `obscure` stands in no member that lists show, but in the environment, where it is sealed.

use std::collections::BTreeMap;

use minijinja::{Environment, UndefinedBehavior};
use serde::{Deserialize, Serialize};

use crate::{
    Refusal, SecretText,
    manifest::{MAX_BYTES, from_yaml},
    service::{
        AgentSpec, ContainerSpec, EnvironmentEntry, ExternalSpec, Metadata, PortSpec, ServiceKind, ServiceSpec,
        SpecVersion, StorageSpec,
    },
};

/// Steps that a template may take.
const FUEL: u64 = 100_000;
/// The annotation that holds the template's text.
pub const SOURCE: &str = "meshagent.service.template.yaml";
/// The annotation that holds the values, but for the `obscure` ones.
pub const VALUES: &str = "meshagent.service.template.values";
/// The annotation that names variables whose values are sealed, whatever they are called.
pub const SEALED: &str = "meshkeep.sealed";
/// The tag of scalars that older templates mark.
const TAG: &str = "!template";

/// A template with its values, as clients send it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateWrite {
    /// The YAML text.
    pub template: String,
    /// Values of its variables.
    #[serde(default, serialize_with = "exposed")]
    pub values: BTreeMap<String, SecretText>,
}

fn exposed<S: serde::Serializer>(values: &BTreeMap<String, SecretText>, serializer: S) -> Result<S::Ok, S::Error> {
    // To the server that renders it.
    serializer.collect_map(values.iter().map(|(name, value)| (name, value.expose())))
}

/// `kind` of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TemplateKind {
    /// The only kind.
    ServiceTemplate,
}

/// A template, rendered or not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateSpec {
    /// `v1`.
    pub version: SpecVersion,
    /// `ServiceTemplate`.
    pub kind: TemplateKind,
    /// Name and description.
    pub metadata: Metadata,
    /// Participant identities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agents: Option<Vec<AgentSpec>>,
    /// What may be filled in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variables: Option<Vec<TemplateVariable>>,
    /// Ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<Vec<PortSpec>>,
    /// Files for the room's storage; not offered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<serde_json::Value>,
    /// What to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<TemplateContainer>,
    /// A service hosted elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalSpec>,
}

/// One of `variables`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateVariable {
    /// Its name.
    pub name: String,
    /// One line for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its value is a secret.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub obscure: bool,
    /// The values that it may have.
    #[serde(default, rename = "enum", skip_serializing_if = "Option::is_none")]
    pub choices: Option<Vec<String>>,
    /// It may be left out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// What it is, for a form: `email` or `route`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Free text by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
}

/// `container` of a template: without what names a project's secrets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateContainer {
    /// As in a manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<Vec<EnvironmentEntry>>,
    /// As in a manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// As in a manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// As in a manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// As in a manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<StorageSpec>,
    /// As in a manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_demand: Option<bool>,
    /// As in a manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writable_root_fs: Option<bool>,
    /// As in a manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private: Option<bool>,
}

/// Renders a template.
///
/// # Errors
/// `Invalid`: what is wrong with the template, or with a value, which is never quoted.
pub fn render(write: &TemplateWrite) -> Result<TemplateSpec, Refusal> {
    let text = rendered(&write.template, &write.values)?;
    let mut spec = read(&text).map_err(|refusal| quiet(write, &refusal))?;
    let variables = spec.variables.as_deref().unwrap_or_default();
    let mut shown = BTreeMap::new();
    let mut obscure = Vec::new();
    for (name, value) in &write.values {
        let variable = variables.iter().find(|variable| variable.name == *name);
        if let Some(choices) = variable.and_then(|variable| variable.choices.as_ref())
            && !choices.iter().any(|choice| choice == value.expose())
        {
            return Err(bad_value(name, format!("must be one of {}", choices.join(", "))));
        }
        match variable {
            Some(variable) if variable.obscure => obscure.push((name, value)),
            _ => drop(shown.insert(name, value.expose())),
        }
    }
    let sealed = sealed(&mut spec, &obscure)?;
    let annotations = &mut spec.metadata.annotations;
    annotations.insert(SOURCE.to_owned(), write.template.clone());
    annotations.insert(VALUES.to_owned(), serde_json::to_string(&shown).expect("texts are JSON"));
    if sealed.is_empty() {
        annotations.remove(SEALED);
    } else {
        annotations.insert(SEALED.to_owned(), sealed.join(","));
    }
    Ok(spec)
}

/// The manifest of a rendered template.
#[must_use]
pub fn into_service(spec: TemplateSpec) -> ServiceSpec {
    let container = spec.container.map(|container| ContainerSpec {
        image: container.image.unwrap_or_default(),
        command: container.command.filter(|command| !command.trim().is_empty()),
        working_dir: container.working_dir.filter(|dir| !dir.is_empty()),
        environment: container.environment.unwrap_or_default(),
        storage: container.storage,
        on_demand: container.on_demand,
        writable_root_fs: container.writable_root_fs,
        private: container.private,
        ..ContainerSpec::default()
    });
    ServiceSpec {
        version: spec.version,
        kind: ServiceKind::Service,
        id: None,
        metadata: spec.metadata,
        agents: spec.agents.unwrap_or_default(),
        files: spec.files,
        ports: spec.ports.unwrap_or_default(),
        container,
        external: spec.external,
    }
}

fn rendered(template: &str, values: &BTreeMap<String, SecretText>) -> Result<String, Refusal> {
    if template.len() > MAX_BYTES {
        return Err(Refusal::invalid("template", format!("is larger than {MAX_BYTES} bytes")));
    }
    let mut engine = Environment::new();
    engine.set_undefined_behavior(UndefinedBehavior::Lenient);
    engine.set_fuel(Some(FUEL));
    // Into the text that becomes the manifest.
    let values: BTreeMap<&str, &str> = values.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
    let wrong = |error: &minijinja::Error| {
        let place = error.line().map_or_else(String::new, |line| format!(" at line {line}"));
        Refusal::invalid("template", format!("is no Jinja2 that this server renders{place}: {}", error.kind()))
    };
    let compiled = engine.template_from_str(template).map_err(|error| wrong(&error))?;
    let mut out = Bounded(Vec::new());
    compiled.render_captured_to(minijinja::Value::from_serialize(&values), &mut out).map_err(|error| wrong(&error))?;
    String::from_utf8(out.0).map_err(|_| Refusal::invalid("template", "renders to no UTF-8 text"))
}

/// Takes no more than a manifest may have.
struct Bounded(Vec<u8>);

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_BYTES {
            return Err(std::io::Error::other("the rendered template is too large"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Without the tags of older templates: what they mark has been rendered with all the rest.
fn untagged(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(TAG) {
        let (before, after) = rest.split_at(at);
        let after = &after[TAG.len()..];
        kept.push_str(before);
        let is_tag = before.is_empty() || before.ends_with([' ', '\n', '\t', '[', ',', '{']);
        if !(is_tag && (after.is_empty() || after.starts_with([' ', '\n', '\t', '\r']))) {
            kept.push_str(TAG);
        }
        rest = after;
    }
    kept.push_str(rest);
    kept
}

/// Names of the environment entries that hold an obscure value; nothing else may.
fn sealed(spec: &mut TemplateSpec, obscure: &[(&String, &SecretText)]) -> Result<Vec<String>, Refusal> {
    let mut names = Vec::new();
    let holds = |text: &str| obscure.iter().any(|(_, value)| !value.is_empty() && text.contains(value.expose()));
    let mut rest = spec.clone();
    for entry in rest.container.iter_mut().flat_map(|container| container.environment.iter_mut().flatten()) {
        if entry.value.take().is_some_and(|value| holds(&value)) {
            names.push(entry.name.clone());
        }
    }
    // What is left is what lists show.
    let shown = serde_json::to_value(&rest).expect("a template is JSON");
    for (name, value) in obscure.iter().filter(|(_, value)| !value.is_empty()) {
        if stands_in(&shown, value.expose()) {
            return Err(bad_value(name, "is obscure, and the template puts it where everybody may read it".to_owned())
                .hint("use it in values of `container.environment` only, where it is sealed"));
        }
    }
    Ok(names)
}

/// Whether some text, or some name, holds this one.
fn stands_in(value: &serde_json::Value, text: &str) -> bool {
    match value {
        serde_json::Value::String(one) => one.contains(text),
        serde_json::Value::Array(all) => all.iter().any(|one| stands_in(one, text)),
        serde_json::Value::Object(all) => all.iter().any(|(name, one)| name.contains(text) || stands_in(one, text)),
        serde_json::Value::Number(number) => number.to_string().contains(text),
        serde_json::Value::Null | serde_json::Value::Bool(_) => false,
    }
}

fn bad_value(name: &str, why: String) -> Refusal {
    let name: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')).take(64).collect();
    Refusal::invalid(&format!("values.{name}"), why)
}

fn read(text: &str) -> Result<TemplateSpec, Refusal> {
    from_yaml(&untagged(text))
}

/// The parser quotes what it does not understand, which may have been a value. What is wrong without any value is said
/// in its words; of the rest only the place is said.
fn quiet(write: &TemplateWrite, refusal: &Refusal) -> Refusal {
    let without = write.values.keys().map(|name| (name.clone(), SecretText::from("x"))).collect();
    if let Err(plain) = rendered(&write.template, &without).and_then(|text| read(&text)) {
        return Refusal::invalid("template", plain.message.trim_start_matches("`manifest` "));
    }
    let (_, place) = refusal.message.split_once("does not fit at ").unwrap_or_default();
    let place = place.split(':').next().unwrap_or_default();
    Refusal::invalid("template", format!("does not fit once its values are filled in, at {place}"))
        .hint("put quotes around what is filled in")
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEATHER: &str = "version: v1\nkind: ServiceTemplate\nmetadata:\n  name: weather-{{ city }}\nvariables:\n\
                           - name: city\n  enum: [oslo, rome]\n- name: key\n  obscure: true\ncontainer:\n  image: acme/weather:1\n  \
                           command: !template serve {{ city }}\n  environment:\n  - name: CITY\n    value: '{{ city | upper }}'\n  \
                           - name: LOGIN\n    value: '{{ key }}'\n  - name: NOTHING\n    value: '{{ absent }}'\n";

    fn with(template: &str, values: &[(&str, &str)]) -> Result<TemplateSpec, Refusal> {
        let values = values.iter().map(|(name, value)| ((*name).to_owned(), SecretText::from(*value))).collect();
        render(&TemplateWrite { template: template.to_owned(), values })
    }

    #[test]
    fn values_are_filled_in_and_obscure_ones_are_sealed() {
        let spec = into_service(with(WEATHER, &[("city", "oslo"), ("key", "hunter2")]).unwrap());
        assert_eq!(spec.metadata.name, "weather-oslo");
        let container = spec.container.unwrap();
        assert_eq!(container.command.as_deref(), Some("serve oslo"));
        let values: Vec<_> = container.environment.iter().map(|entry| entry.value.as_deref().unwrap()).collect();
        assert_eq!(values, ["OSLO", "hunter2", ""], "what is absent is empty");
        assert_eq!(spec.metadata.annotations[VALUES], r#"{"city":"oslo"}"#);
        assert_eq!(spec.metadata.annotations[SEALED], "LOGIN");
        assert_eq!(spec.metadata.annotations[SOURCE], WEATHER);
    }

    #[test]
    fn an_obscure_value_stands_nowhere_else() {
        for place in ["command: !template serve {{ city }}", "image: acme/weather:1"] {
            let template = WEATHER.replace(place, &format!("{}: x{{{{ key }}}}", place.split(':').next().unwrap()));
            let refusal = with(&template, &[("city", "oslo"), ("key", "hunter2")]).unwrap_err();
            assert_eq!(refusal.field, "values.key");
            assert!(!refusal.to_string().contains("hunter2"), "{refusal}");
        }
    }

    #[test]
    fn what_does_not_fit_is_named_and_no_value_quoted() {
        assert_eq!(with(WEATHER, &[("city", "paris")]).unwrap_err().field, "values.city");
        for (template, value) in [
            ("version: v1\nkind: ServiceTemplate\nmetadata: {{ key }}\n", "hunter2"),
            ("version: v1\nkind: ServiceTemplate\nmetadata: {name: a}\n{{ key }}: 1\n", "hunter2"),
            ("version: v1\nkind: {{ key }}\nmetadata: {name: a}\n", "hunter2: ["),
        ] {
            let refusal = with(template, &[("key", value)]).unwrap_err();
            assert!(!refusal.to_string().contains("hunter2"), "{refusal}");
        }
        let secrets = WEATHER.replace("  command:", "  secrets: [x]\n  command:");
        assert!(with(&secrets, &[("city", "oslo")]).unwrap_err().message.contains("secrets"));
        assert!(with("{{ unclosed", &[]).unwrap_err().message.contains("line 1"));
    }

    #[test]
    fn templates_have_bounds() {
        let endless = "{% for a in range(100000) %}{% for b in range(100000) %}x{% endfor %}{% endfor %}";
        assert!(with(endless, &[]).is_err());
        let long = format!("{}{}", "{% set a = 'x' %}", "{{ v }}".repeat(40));
        assert!(with(&long, &[("v", &"y".repeat(50_000))]).unwrap_err().message.contains("template"));
        assert!(with(&"x".repeat(MAX_BYTES + 1), &[]).is_err());
    }

    #[test]
    fn only_the_tag_itself_is_taken_away() {
        assert_eq!(untagged("a: !template b\nc: [!template d]\n"), "a:  b\nc: [ d]\n");
        assert_eq!(untagged("a: x!template b\nc: !templates d"), "a: x!template b\nc: !templates d");
    }
}
