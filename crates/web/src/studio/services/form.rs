//! A service's manifest as the fields of a form, and back.
//!
//! What must stay true: what the form does not show (agents, endpoints, annotations of others) travels through it
//! unchanged; a field that does not fit keeps what was typed; a stored value is shown as `[redacted]` and kept by it.

use meshkeep_core::{
    Refusal,
    manifest::{CAPABILITIES, MEMORY, PIDS, PULL_SECRETS, named_pull_secrets},
    service::{
        ContainerSpec, EmptyDirMount, EnvironmentEntry, FileMount, PortNum, PortSpec, PortType, ServiceSpec,
        StorageSpec,
    },
};

use crate::studio::fields::Fields;

/// One row of `environment`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Variable {
    pub name: String,
    pub value: String,
    /// A token or a participant's secret that stands in the value's place, as JSON. It is changed as YAML.
    pub rest: String,
}

/// One row of `ports`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Port {
    /// A number, or `*`.
    pub num: String,
    pub is_tcp: bool,
    pub liveness: String,
    /// What the row does not show, as JSON.
    rest: String,
}

/// One row of `storage.empty_dirs` or `storage.files`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Storage {
    pub path: String,
    /// Of a file.
    pub text: String,
    /// `true`, `false`, or nothing where the manifest says nothing.
    pub read_only: String,
}

/// The fields, as they were typed or as a manifest fills them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServiceForm {
    pub name: String,
    pub description: String,
    pub image: String,
    /// Ids, in order.
    pub pull_secrets: Vec<String>,
    /// Ids, in order.
    pub secrets: Vec<String>,
    pub environment: Vec<Variable>,
    pub command: String,
    pub working_dir: String,
    pub ports: Vec<Port>,
    pub dirs: Vec<Storage>,
    pub files: Vec<Storage>,
    pub memory: String,
    pub pids: String,
    pub capabilities: Vec<String>,
    pub writable_root: bool,
    pub on_demand: bool,
    /// The manifest that the form began from, as JSON: what the fields do not show is taken from it.
    pub rest: String,
}

impl ServiceForm {
    /// Filled from a manifest, as it may be shown.
    pub(crate) fn of(spec: &ServiceSpec) -> Self {
        let container = spec.container.clone().unwrap_or_else(empty_container);
        let annotation = |name: &str| spec.metadata.annotations.get(name).cloned().unwrap_or_default();
        let capabilities = annotation(CAPABILITIES);
        let storage = container.storage.unwrap_or_else(no_storage);
        Self {
            name: spec.metadata.name.clone(),
            description: spec.metadata.description.clone().unwrap_or_default(),
            image: container.image,
            pull_secrets: named_pull_secrets(spec).map(str::to_owned).collect(),
            secrets: container.secrets,
            environment: container.environment.into_iter().map(Variable::of).collect(),
            command: container.command.unwrap_or_default(),
            working_dir: container.working_dir.unwrap_or_default(),
            ports: spec.ports.iter().map(Port::of).collect(),
            dirs: storage
                .empty_dirs
                .into_iter()
                .map(|dir| Storage::of(dir.path, String::new(), dir.read_only))
                .collect(),
            files: storage.files.into_iter().map(|file| Storage::of(file.path, file.text, file.read_only)).collect(),
            memory: annotation(MEMORY),
            pids: annotation(PIDS),
            capabilities: words(&capabilities).collect(),
            writable_root: container.writable_root_fs.unwrap_or(false),
            on_demand: container.on_demand.unwrap_or(false),
            rest: serde_json::to_string(spec).expect("a manifest is JSON"),
        }
    }

    /// As a browser sends it.
    pub(crate) fn read(fields: &Fields) -> Self {
        let text = |name: &str| fields.one(name).unwrap_or_default().to_owned();
        let is_on = |name: &str| fields.one(name).is_some();
        let column = |name: &'static str| fields.all(name).map(str::to_owned);
        let ports = column("port_num").zip(column("port_type")).zip(column("port_liveness")).zip(column("port_rest"));
        Self {
            name: text("name"),
            description: text("description"),
            image: text("image").trim().to_owned(),
            pull_secrets: column("pull_secret").filter(|id| !id.is_empty()).collect(),
            secrets: column("secret").filter(|id| !id.is_empty()).collect(),
            environment: column("env_name")
                .zip(column("env_value"))
                .zip(column("env_rest"))
                .map(|((name, value), rest)| Variable { name, value: value.replace("\r\n", "\n"), rest })
                .collect(),
            command: text("command"),
            working_dir: text("working_dir"),
            ports: ports
                .map(|(((num, kind), liveness), rest)| Port { num, is_tcp: kind == "tcp", liveness, rest })
                .collect(),
            dirs: column("dir_path")
                .zip(column("dir_read_only"))
                .map(|(path, read_only)| Storage { path, text: String::new(), read_only })
                .collect(),
            files: column("file_path")
                .zip(column("file_text"))
                .zip(column("file_read_only"))
                .map(|((path, text), read_only)| Storage { path, text: text.replace("\r\n", "\n"), read_only })
                .collect(),
            memory: text("memory"),
            pids: text("pids"),
            capabilities: column("capability").collect(),
            writable_root: is_on("writable_root"),
            on_demand: is_on("on_demand"),
            rest: text("rest"),
        }
    }

    /// The manifest that it says. Rows that are wholly empty count for nothing.
    ///
    /// # Errors
    /// What is no manifest at all, by its field; whether it fits is for the save to say.
    pub(crate) fn spec(&self) -> Result<ServiceSpec, Refusal> {
        let mut spec: ServiceSpec = serde_json::from_str(&self.rest)
            .map_err(|_| Refusal::invalid("manifest", "of this page is not whole; open the service again"))?;
        spec.metadata.name.clone_from(&self.name);
        spec.metadata.description = stated(&self.description);
        let (first_pull, further_pulls) = match self.pull_secrets.split_first() {
            Some((first, further)) => (Some(first.clone()), further.join(", ")),
            None => (None, String::new()),
        };
        for (name, text) in [
            (MEMORY, &self.memory),
            (PIDS, &self.pids),
            (CAPABILITIES, &self.capabilities.join(", ")),
            (PULL_SECRETS, &further_pulls),
        ] {
            match stated(text) {
                Some(text) => spec.metadata.annotations.insert(name.to_owned(), text),
                None => spec.metadata.annotations.remove(name),
            };
        }
        let ports = self.ports.iter().enumerate().filter(|(_, port)| !port.is_empty());
        spec.ports = ports.map(|(position, port)| port.spec(position)).collect::<Result<_, _>>()?;
        let container = spec.container.get_or_insert_with(empty_container);
        container.image.clone_from(&self.image);
        container.pull_secret = first_pull;
        container.secrets.clone_from(&self.secrets);
        let variables = self.environment.iter().filter(|row| !(row.name.is_empty() && row.value.is_empty()));
        container.environment = variables.map(Variable::entry).collect::<Result<_, _>>()?;
        let mut storage = container.storage.take().unwrap_or_else(no_storage);
        let dirs = self.dirs.iter().filter(|row| !row.is_empty());
        storage.empty_dirs = dirs.map(|row| EmptyDirMount { path: row.path(), read_only: row.read_only() }).collect();
        let files = self.files.iter().filter(|row| !row.is_empty());
        storage.files = files
            .map(|row| FileMount { path: row.path(), text: row.text.clone(), read_only: row.read_only() })
            .collect();
        container.storage = Some(storage).filter(|storage| *storage != no_storage());
        container.command = stated(&self.command);
        container.working_dir = stated(&self.working_dir);
        container.writable_root_fs = self.writable_root.then_some(true);
        container.on_demand = self.on_demand.then_some(true);
        Ok(spec)
    }

    /// Whether this one is ticked.
    pub(crate) fn has_capability(&self, name: &str) -> bool {
        self.capabilities.iter().any(|word| word == name)
    }

    /// Does what a button of the form asks: `add-variable`, `remove-variable-2`, `up-secret-1` and their like. False when
    /// it is none of these.
    pub(crate) fn change(&mut self, action: &str) -> bool {
        let (verb, place) = match action.rsplit_once('-') {
            Some((verb, place)) if place.bytes().all(|b| b.is_ascii_digit()) => {
                (verb, place.parse().unwrap_or(usize::MAX))
            }
            _ => (action, usize::MAX),
        };
        match verb {
            "add-variable" => self.environment.push(Variable::default()),
            "remove-variable" => remove(&mut self.environment, place),
            "add-port" => self.ports.push(Port::default()),
            "remove-port" => remove(&mut self.ports, place),
            "add-dir" => self.dirs.push(Storage::default()),
            "remove-dir" => remove(&mut self.dirs, place),
            "add-file" => self.files.push(Storage::default()),
            "remove-file" => remove(&mut self.files, place),
            "remove-secret" => remove(&mut self.secrets, place),
            "up-secret" if place > 0 && place < self.secrets.len() => self.secrets.swap(place, place - 1),
            "down-secret" if place.saturating_add(1) < self.secrets.len() => self.secrets.swap(place, place + 1),
            "attach" | "up-secret" | "down-secret" => {}
            _ => return false,
        }
        true
    }
}

impl Variable {
    fn of(entry: EnvironmentEntry) -> Self {
        let EnvironmentEntry { name, value, .. } = entry.clone();
        let rest = if value.is_some() { String::new() } else { serde_json::to_string(&entry).expect("it is JSON") };
        Self { name, value: value.unwrap_or_default(), rest }
    }

    fn entry(&self) -> Result<EnvironmentEntry, Refusal> {
        let name = self.name.clone();
        if self.rest.is_empty() {
            return Ok(EnvironmentEntry { name, value: Some(self.value.clone()), token: None, secret: None });
        }
        let kept: EnvironmentEntry = serde_json::from_str(&self.rest)
            .map_err(|_| Refusal::invalid("manifest", "of this page is not whole; open the service again"))?;
        Ok(EnvironmentEntry { name, ..kept })
    }

    /// What stands in the value's place, for people.
    pub(crate) fn kept(&self) -> Option<String> {
        let entry: EnvironmentEntry = serde_json::from_str(&self.rest).ok()?;
        let token = entry.token.map(|token| format!("a token for {}, made at each launch", token.identity));
        token.or(entry.secret.map(|secret| format!("the secret {} of {} in the room", secret.id, secret.identity)))
    }
}

impl Storage {
    fn of(path: String, text: String, read_only: Option<bool>) -> Self {
        Self { path, text, read_only: read_only.map(|read_only| read_only.to_string()).unwrap_or_default() }
    }

    fn is_empty(&self) -> bool {
        self.path.trim().is_empty() && self.text.is_empty()
    }

    fn path(&self) -> String {
        self.path.trim().to_owned()
    }

    fn read_only(&self) -> Option<bool> {
        self.read_only.parse().ok()
    }
}

impl Port {
    fn of(port: &PortSpec) -> Self {
        Self {
            num: match port.num {
                PortNum::Any => "*".to_owned(),
                PortNum::Fixed(number) => number.to_string(),
            },
            is_tcp: port.r#type == Some(PortType::Tcp),
            liveness: port.liveness.clone().unwrap_or_default(),
            rest: serde_json::to_string(port).expect("a port is JSON"),
        }
    }

    /// What the row does not show, as JSON.
    pub(crate) fn rest(&self) -> &str {
        &self.rest
    }

    fn is_empty(&self) -> bool {
        self.num.trim().is_empty() && self.liveness.trim().is_empty()
    }

    fn spec(&self, position: usize) -> Result<PortSpec, Refusal> {
        let rest = if self.rest.is_empty() { "{}" } else { &self.rest };
        let mut port: PortSpec = serde_json::from_str(rest)
            .map_err(|_| Refusal::invalid("manifest", "of this page is not whole; open the service again"))?;
        port.num = match self.num.trim() {
            "*" => PortNum::Any,
            number => PortNum::Fixed(number.parse().ok().filter(|number| *number > 0).ok_or_else(|| {
                Refusal::invalid(&format!("ports[{position}].num"), "must be a port from 1 to 65535, or `*`")
            })?),
        };
        port.r#type = match (self.is_tcp, port.r#type) {
            (true, _) => Some(PortType::Tcp),
            (false, Some(PortType::Tcp)) => None,
            (false, stated) => stated,
        };
        port.liveness = stated(&self.liveness);
        Ok(port)
    }
}

/// What stands between commas.
fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned)
}

fn stated(text: &str) -> Option<String> {
    Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn remove<T>(rows: &mut Vec<T>, place: usize) {
    if place < rows.len() {
        rows.remove(place);
    }
}

fn no_storage() -> StorageSpec {
    serde_json::from_str("{}").expect("storage needs nothing")
}

fn empty_container() -> ContainerSpec {
    serde_json::from_str(r#"{"image": ""}"#).expect("a container needs nothing but an image")
}

#[cfg(test)]
mod tests {
    use meshkeep_core::manifest::from_yaml;

    use super::*;

    const WHOLE: &str = "version: v1\nkind: Service\nid: 0198c2f4-7b1e-7c3a-9d55-2f6f0a1b2c3d\nmetadata:\n  name: weather\n  \
                         description: Tells it\n  annotations: {meshkeep.memory: 64Mi, meshkeep.capabilities: 'CHOWN, SETUID', meshkeep.pull_secrets: 'd, e', other: kept}\n\
                         agents: [{name: forecaster}]\nports:\n  - num: 8000\n    liveness: /healthz\n    published: true\n    \
                         endpoints: [{path: /mcp}]\n  - num: '*'\n    type: tcp\ncontainer:\n  image: r.example/w:1\n  \
                         pull_secret: 0198c2f4-8d02-7000-8c2b-4a1d6f0b7e11\n  secrets: [a, b, c]\n  command: run 'a b'\n  \
                         private: false\n  storage:\n    room: [{path: /room}]\n    empty_dirs: [{path: /cache}, {path: /x, read_only: true}]\n    \
                         files: [{path: /etc/a.conf, text: \"one\\ntwo\\n\"}]\n  environment: [{name: A, value: '1'}, {name: API_TOKEN, value: '[redacted]'}, \
                         {name: T, token: {identity: bot, role: agent}}, {name: S, secret: {identity: bot, id: s}}]\n";

    fn spec() -> ServiceSpec {
        from_yaml(WHOLE).unwrap()
    }

    /// As a browser would send what stands in the form.
    fn sent(form: &ServiceForm) -> Fields {
        let mut pairs = vec![
            ("name", form.name.clone()),
            ("description", form.description.clone()),
            ("image", form.image.clone()),
            ("command", form.command.clone()),
            ("working_dir", form.working_dir.clone()),
            ("memory", form.memory.clone()),
            ("pids", form.pids.clone()),
            ("rest", form.rest.clone()),
        ];
        pairs.extend(form.pull_secrets.iter().map(|id| ("pull_secret", id.clone())));
        // The one that would add another.
        pairs.push(("pull_secret", String::new()));
        pairs.extend(form.secrets.iter().map(|id| ("secret", id.clone())));
        pairs.extend(form.capabilities.iter().map(|word| ("capability", word.clone())));
        for row in &form.environment {
            pairs.extend([("env_name", row.name.clone()), ("env_value", row.value.replace('\n', "\r\n"))]);
            pairs.push(("env_rest", row.rest.clone()));
        }
        for port in &form.ports {
            let kind = if port.is_tcp { "tcp" } else { "http" };
            pairs.extend([("port_num", port.num.clone()), ("port_type", kind.to_owned())]);
            pairs.extend([("port_liveness", port.liveness.clone()), ("port_rest", port.rest.clone())]);
        }
        for row in &form.dirs {
            pairs.extend([("dir_path", row.path.clone()), ("dir_read_only", row.read_only.clone())]);
        }
        for row in &form.files {
            pairs.extend([("file_path", row.path.clone()), ("file_text", row.text.replace('\n', "\r\n"))]);
            pairs.push(("file_read_only", row.read_only.clone()));
        }
        pairs.extend(form.writable_root.then(|| ("writable_root", "on".to_owned())));
        pairs.extend(form.on_demand.then(|| ("on_demand", "on".to_owned())));
        Fields::of(pairs)
    }

    #[test]
    fn a_manifest_goes_through_the_form_unchanged() {
        let form = ServiceForm::of(&spec());
        assert_eq!(form.spec().unwrap(), spec());
        let read = ServiceForm::read(&sent(&form));
        assert_eq!(read, form);
        assert_eq!(read.spec().unwrap(), spec());
    }

    #[test]
    fn what_is_typed_is_said_and_the_rest_is_kept() {
        let mut form = ServiceForm::of(&spec());
        "other".clone_into(&mut form.name);
        form.memory.clear();
        form.environment[0].value = "a\nb".to_owned();
        form.ports[0].num = "9000".to_owned();
        form.ports[1].is_tcp = false;
        form.on_demand = true;
        form.pull_secrets.remove(0);
        for empty in ["add-variable", "add-port"] {
            assert!(form.change(empty));
        }
        let said = ServiceForm::read(&sent(&form)).spec().unwrap();
        let container = said.container.as_ref().unwrap();
        assert_eq!(said.metadata.name, "other");
        assert_eq!(said.metadata.annotations.get("other").unwrap(), "kept");
        assert!(!said.metadata.annotations.contains_key(MEMORY));
        let further = said.metadata.annotations.get(PULL_SECRETS).map(String::as_str);
        assert_eq!((container.pull_secret.as_deref(), further), (Some("d"), Some("e")));
        assert_eq!((container.environment.len(), container.environment[0].value.as_deref()), (4, Some("a\nb")));
        assert_eq!(
            (said.ports.len(), said.ports[0].num, said.ports[0].published),
            (2, PortNum::Fixed(9000), Some(true))
        );
        assert_eq!((said.ports[0].endpoints.len(), said.ports[1].r#type), (1, None));
        assert_eq!((container.on_demand, container.private, said.agents.len()), (Some(true), Some(false), 1));
    }

    #[test]
    fn buttons_move_and_remove_rows_and_never_more() {
        let mut form = ServiceForm::of(&spec());
        let order = |form: &ServiceForm| form.secrets.concat();
        for (action, then) in [
            ("up-secret-0", "abc"),
            ("up-secret-2", "acb"),
            ("down-secret-0", "cab"),
            ("down-secret-2", "cab"),
            ("down-secret-99999999999999999999", "cab"),
            ("remove-secret-1", "cb"),
            ("remove-secret-7", "cb"),
        ] {
            assert!(form.change(action), "{action}");
            assert_eq!(order(&form), then, "{action}");
        }
        for action in ["remove-variable-0", "remove-port-1", "remove-dir-0", "add-dir", "add-dir", "remove-file-0"] {
            assert!(form.change(action), "{action}");
        }
        assert_eq!((form.environment.len(), form.ports.len(), form.dirs.len(), form.files.len()), (3, 1, 3, 0));
        assert!(!form.change("save") && !form.change("remove-everything"));
    }

    #[test]
    fn what_is_no_manifest_is_named() {
        let mut form = ServiceForm::of(&spec());
        form.ports[1].num = "70000".to_owned();
        assert_eq!(form.spec().unwrap_err().field, "ports[1].num");
        form.rest = "{".to_owned();
        assert_eq!(form.spec().unwrap_err().field, "manifest");
    }
}
