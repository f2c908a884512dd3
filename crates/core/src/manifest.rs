//! From the text of a manifest to one whose meaning was checked.
//!
//! Every refusal names the member, such as `container.environment[2].name`. What this server does not know is refused by
//! name and never silently ignored.

use std::{
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
};

use serde::{Deserialize as _, de::DeserializeOwned};

use crate::{
    Refusal, RefusalKind, SecretText, command_line,
    environment::check_entry,
    id::SecretId,
    name::{DisplayName, EntryName, ServiceName},
    participant::ApiScope,
    service::{ApiKeySpec, ContainerSpec, ExternalSpec, PortNum, PortType, ServiceSpec, TokenSource},
    storage::{self, Mount},
    template::SEALED,
};

/// The annotation that adds capabilities within the workload's user namespace.
pub const CAPABILITIES: &str = "meshkeep.capabilities";
/// The annotation that sets the memory limit, such as `256Mi`.
pub const MEMORY: &str = "meshkeep.memory";
/// The annotation that sets how many processes and threads there may be.
pub const PIDS: &str = "meshkeep.pids";
/// The annotation that keeps secrets at a version: `ID=VERSION`, several with commas. Others follow the newest.
pub const VERSIONS: &str = "meshkeep.versions";
/// The annotation that names further pull secrets, by id, several with commas. Of these and `container.pull_secret`, an image
/// is fetched with the one whose server names the longest part of its path.
pub const PULL_SECRETS: &str = "meshkeep.pull_secrets";
/// Pull secrets of a service at most.
pub const MAX_PULL_SECRETS: usize = 16;
/// What [`CAPABILITIES`] may list.
pub const KNOWN_CAPABILITIES: [&str; 5] = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETUID", "SETGID"];
/// Bytes of a manifest's text at most.
pub const MAX_BYTES: usize = 1 << 20;

/// What a checked manifest says, in types.
#[derive(Clone, Debug)]
pub struct Checked {
    /// `metadata.name`.
    pub name: ServiceName,
    /// Bound secret keys, in order.
    pub secrets: Vec<SecretId>,
    /// Pull secrets: `container.pull_secret`, then those of [`PULL_SECRETS`].
    pub pull_secrets: Vec<SecretId>,
    /// The command in words.
    pub command: Option<Vec<String>>,
    /// Plain variables.
    pub environment: Vec<(EntryName, SecretText)>,
    /// Plain variables whose values are sealed, whatever they are called.
    pub sealed: BTreeSet<EntryName>,
    /// Variables that hold a token for a participant of the room.
    pub tokens: Vec<(EntryName, Identity)>,
    /// Variables that hold a participant's secret of the room: whose, and which.
    pub room_secrets: Vec<(EntryName, String, String)>,
    /// The key of the project's API that it gets.
    pub api_key: Option<ApiKeyAsked>,
    /// What is called at each start.
    pub calls: Vec<Call>,
    /// What is mounted beside the image.
    pub mounts: Vec<Mount>,
    /// Bytes of memory, when stated.
    pub memory_bytes: Option<u64>,
    /// Processes, when stated.
    pub pids: Option<u32>,
    /// Of [`KNOWN_CAPABILITIES`].
    pub capabilities: Vec<&'static str>,
    /// Bound secrets that are kept at a version.
    pub versions: BTreeMap<SecretId, u32>,
}

/// A participant that the platform makes a token for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its name.
    pub name: DisplayName,
    /// `user`, `agent` or `tool`.
    pub role: String,
    /// What it may in its room.
    pub scope: ApiScope,
}

/// A key of the project's API that a service gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKeyAsked {
    /// Its name.
    pub name: DisplayName,
    /// Whether it is made when it is not there.
    pub make: bool,
}

/// A path that is called at each start, with a token for a participant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The port.
    pub port: PortNum,
    /// The path, which begins with a slash.
    pub path: String,
    /// Who shall join the room.
    pub identity: Identity,
}

impl Checked {
    /// The version of a bound secret that a launch takes: the one that it is kept at, or else the newest.
    #[must_use]
    pub fn version_of(&self, secret: SecretId, newest: u32) -> u32 {
        self.versions.get(&secret).copied().unwrap_or(newest)
    }
}

/// Reads YAML (or JSON, which is YAML) text.
///
/// # Errors
/// `Invalid` with line and column; unknown and repeated members are named.
pub fn from_yaml<T: DeserializeOwned>(text: &str) -> Result<T, Refusal> {
    if text.len() > MAX_BYTES {
        return Err(Refusal::invalid("manifest", format!("is larger than {MAX_BYTES} bytes")));
    }
    serde_saphyr::from_str(text).map_err(|error| {
        let why = error.to_string();
        let first = why.lines().next().unwrap_or_default().trim_start_matches("error: ");
        let Some(at) = error.location() else { return Refusal::invalid("manifest", format!("does not fit: {first}")) };
        // The parser says the place in words of its own.
        let place = format!("line {} column {}: ", at.line(), at.column());
        let why = first.strip_prefix(&place).unwrap_or(first);
        Refusal::invalid("manifest", format!("does not fit at line {}, column {}: {why}", at.line(), at.column()))
    })
}

/// Names in the annotation [`SEALED`].
pub fn sealed_names(spec: &ServiceSpec) -> impl Iterator<Item = &str> {
    let names = spec.metadata.annotations.get(SEALED).map_or("", String::as_str);
    names.split(',').map(str::trim).filter(|name| !name.is_empty())
}

/// Checks the meaning of a manifest.
///
/// # Errors
/// `Invalid`, naming the member.
pub fn check(spec: &ServiceSpec) -> Result<Checked, Refusal> {
    let name = parse::<ServiceName>("metadata.name", &spec.metadata.name)?;
    match (&spec.container, &spec.external) {
        (Some(_), None) | (None, Some(_)) => {}
        (Some(_), Some(_)) => return Err(Refusal::invalid("external", "cannot stand beside `container`")),
        (None, None) => return Err(Refusal::invalid("container", "is missing; so is `external`")),
    }
    check_offered(spec)?;
    let calls = check_ports(spec)?;
    let annotation = |name: &str| spec.metadata.annotations.get(name).map(String::as_str);
    let mut checked = Checked {
        name,
        secrets: Vec::new(),
        pull_secrets: Vec::new(),
        command: None,
        environment: Vec::new(),
        sealed: sealed_names(spec).filter_map(|name| name.parse().ok()).collect(),
        tokens: Vec::new(),
        room_secrets: Vec::new(),
        api_key: None,
        calls,
        mounts: Vec::new(),
        memory_bytes: annotation(MEMORY).map(memory).transpose()?,
        pids: annotation(PIDS).map(pids).transpose()?,
        capabilities: annotation(CAPABILITIES).map(capabilities).transpose()?.unwrap_or_default(),
        versions: annotation(VERSIONS).map(versions).transpose()?.unwrap_or_default(),
    };
    if let Some(external) = &spec.external {
        check_external(external)?;
    }
    if let Some(container) = &spec.container {
        check_container(container, &mut checked)?;
    }
    checked.pull_secrets = pull_secrets(spec)?;
    let bound = |id| checked.secrets.contains(id) || checked.pull_secrets.contains(id);
    if let Some(id) = checked.versions.keys().find(|id| !bound(id)) {
        return Err(version_field(format!("names {id}, which this service does not bind")));
    }
    Ok(checked)
}

/// What clients know and this server does not have.
fn check_offered(spec: &ServiceSpec) -> Result<(), Refusal> {
    let offered = |field: &str, value: Option<&serde_json::Value>| match value {
        None => Ok(()),
        Some(_) => {
            Err(Refusal::new(RefusalKind::Invalid, "not_offered", format!("`{field}` is not offered by this server"))
                .hint("leave the member out"))
        }
    };
    offered("files", spec.files.as_ref())?;
    for (position, agent) in spec.agents.iter().enumerate() {
        let field = |member: &str| format!("agents[{position}].{member}");
        offered(&field("email"), agent.email.as_ref())?;
        offered(&field("heartbeat"), agent.heartbeat.as_ref())?;
        for (kind, channels) in agent.channels.iter().filter_map(serde_json::Value::as_object).flatten() {
            if !["messaging", "toolkit"].contains(&kind.as_str()) {
                offered(&field(&format!("channels.{kind}")), Some(channels).filter(|channels| !channels.is_null()))?;
            }
        }
    }
    let storage = spec.container.as_ref().and_then(|container| container.storage.as_ref());
    offered("container.storage.configs", storage.and_then(|storage| storage.configs.as_ref()))
}

fn check_container(container: &ContainerSpec, checked: &mut Checked) -> Result<(), Refusal> {
    if container.image.trim().is_empty() {
        return Err(Refusal::invalid("container.image", "is empty"));
    }
    if let Some(command) = container.command.as_deref() {
        let words = command_line::split(command).map_err(|why| Refusal::invalid("container.command", why))?;
        checked.command = Some(words);
    }
    if let Some(dir) = container.working_dir.as_deref() {
        let plain = dir.starts_with('/') && !dir.contains('\0') && !dir.split('/').any(|part| part == "..");
        if !plain {
            return Err(Refusal::invalid("container.working_dir", "must be an absolute path without `..`"));
        }
    }
    if let Some(key) = &container.api_key {
        checked.api_key = Some(api_key(key)?);
    }
    if let Some(storage) = &container.storage {
        checked.mounts = storage::mounts(storage)?;
    }
    check_environment(container, checked)?;
    let mut seen = BTreeSet::new();
    for (position, id) in container.secrets.iter().enumerate() {
        let field = format!("container.secrets[{position}]");
        let id = secret_id(&field, id)?;
        if !seen.insert(id) {
            return Err(Refusal::invalid(&field, "is bound twice"));
        }
        checked.secrets.push(id);
    }
    Ok(())
}

/// Where the manifest names the pull secret of this place.
#[must_use]
pub fn pull_secret_field(position: usize) -> String {
    if position == 0 { "container.pull_secret".to_owned() } else { format!("metadata.annotations.{PULL_SECRETS}") }
}

/// The pull secrets as they are written, in their order.
pub fn named_pull_secrets(spec: &ServiceSpec) -> impl Iterator<Item = &str> {
    let first = spec.container.as_ref().and_then(|container| container.pull_secret.as_deref());
    let further = spec.metadata.annotations.get(PULL_SECRETS).map_or("", String::as_str);
    first.into_iter().chain(further.split(',').map(str::trim).filter(|id| !id.is_empty()))
}

/// Further ones only beside a first, which every client shows.
fn pull_secrets(spec: &ServiceSpec) -> Result<Vec<SecretId>, Refusal> {
    let has_first = spec.container.as_ref().is_some_and(|container| container.pull_secret.is_some());
    let mut found = Vec::new();
    for (position, id) in named_pull_secrets(spec).enumerate() {
        if !has_first {
            let why = "names pull secrets, and `container.pull_secret` names none";
            return Err(
                Refusal::invalid(&pull_secret_field(1), why).hint("name the first one in `container.pull_secret`")
            );
        }
        let field = pull_secret_field(position);
        let id = secret_id(&field, id)?;
        if found.contains(&id) {
            return Err(Refusal::invalid(&field, format!("names {id} twice")));
        }
        if position == MAX_PULL_SECRETS {
            return Err(Refusal::invalid(&field, format!("makes more than {MAX_PULL_SECRETS} pull secrets")));
        }
        found.push(id);
    }
    Ok(found)
}

fn check_environment(container: &ContainerSpec, checked: &mut Checked) -> Result<(), Refusal> {
    let mut seen = BTreeSet::new();
    for (position, entry) in container.environment.iter().enumerate() {
        let field = |member: &str| format!("container.environment[{position}].{member}");
        let name = parse::<EntryName>(&field("name"), &entry.name)?;
        if !seen.insert(name.clone()) {
            return Err(Refusal::invalid(&field("name"), format!("repeats {name}")));
        }
        match (&entry.value, &entry.token, &entry.secret) {
            (Some(value), None, None) => {
                let value = SecretText::from(value.as_str());
                check_entry(&name, &value)?;
                checked.environment.push((name, value));
            }
            (None, Some(token), None) => checked.tokens.push((name, identity(&field("token"), token)?)),
            (None, None, Some(secret)) => {
                for (member, text) in [("secret.identity", &secret.identity), ("secret.id", &secret.id)] {
                    if text.is_empty() || text.len() > 255 || text.contains('\0') {
                        return Err(Refusal::invalid(&field(member), "must be a text of 1 to 255 bytes"));
                    }
                }
                checked.room_secrets.push((name, secret.identity.clone(), secret.id.clone()));
            }
            (None, None, None) => return Err(Refusal::invalid(&field("value"), "is missing")),
            _ => {
                return Err(Refusal::invalid(
                    &field("value"),
                    "stands beside `token` or `secret`; give one of the three",
                ));
            }
        }
    }
    Ok(())
}

/// Who gets a token, and what it may.
fn identity(field: &str, token: &TokenSource) -> Result<Identity, Refusal> {
    let name = parse(&format!("{field}.identity"), &token.identity)?;
    let role = token.role.clone().unwrap_or_else(|| "agent".to_owned());
    if !["user", "agent", "tool"].contains(&role.as_str()) {
        return Err(Refusal::invalid(&format!("{field}.role"), "must be `user`, `agent` or `tool`"));
    }
    let scope = match &token.api {
        None | Some(serde_json::Value::Null) => ApiScope::agent_default(),
        Some(api) => {
            let read = ApiScope::deserialize(api);
            read.map_err(|_| Refusal::invalid(&format!("{field}.api"), "is not an API scope of a participant token"))?
        }
    };
    Ok(Identity { name, role, scope })
}

fn api_key(key: &ApiKeySpec) -> Result<ApiKeyAsked, Refusal> {
    if key.role != "admin" {
        return Err(Refusal::invalid("container.api_key.role", "must be `admin`"));
    }
    Ok(ApiKeyAsked { name: parse("container.api_key.name", &key.name)?, make: key.auto_provision.unwrap_or(true) })
}

/// Where a service that is hosted elsewhere is called; the host is checked by who calls it.
fn check_external(external: &ExternalSpec) -> Result<(), Refusal> {
    let is_plain = external.url.len() <= 1024 && external.url.bytes().all(|b| b.is_ascii_graphic());
    let rest = external.url.strip_prefix("https://").or_else(|| external.url.strip_prefix("http://"));
    match rest {
        Some(rest) if is_plain && !rest.is_empty() && !rest.starts_with('/') && !rest.contains('@') => Ok(()),
        _ => Err(Refusal::invalid("external.url", "must be an http or https URL without a user name")),
    }
}

/// The paths that are called at each start.
fn check_ports(spec: &ServiceSpec) -> Result<Vec<Call>, Refusal> {
    let (mut seen, mut calls) = (BTreeSet::new(), Vec::new());
    for (position, port) in spec.ports.iter().enumerate() {
        let field = |member: &str| format!("ports[{position}].{member}");
        let number = match port.num {
            PortNum::Any => 0,
            PortNum::Fixed(number) => number,
        };
        if !seen.insert(number) {
            return Err(Refusal::invalid(&field("num"), "is there twice"));
        }
        let path_is_plain = |path: &str| path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic());
        if port.liveness.as_deref().is_some_and(|path| !path_is_plain(path)) {
            return Err(Refusal::invalid(&field("liveness"), "must be a path that begins with `/`, without blanks"));
        }
        if port.published == Some(true) && port.r#type == Some(PortType::Tcp) {
            return Err(Refusal::invalid(&field("published"), "is for http and websockets, and the port is `tcp`")
                .hint("within the session every port is reached by the service's name"));
        }
        for (number, endpoint) in port.endpoints.iter().enumerate() {
            let field = format!("ports[{position}].endpoints[{number}]");
            if !path_is_plain(&endpoint.path) {
                return Err(Refusal::invalid(
                    &format!("{field}.path"),
                    "must be a path that begins with `/`, without blanks",
                ));
            }
            let Some(token) = &endpoint.meshagent else { continue };
            if port.r#type == Some(PortType::Tcp) {
                return Err(Refusal::invalid(
                    &format!("{field}.meshagent"),
                    "is called by http, and the port is `tcp`",
                ));
            }
            let identity = identity(&format!("{field}.meshagent"), token)?;
            calls.push(Call { port: port.num, path: endpoint.path.clone(), identity });
        }
    }
    Ok(calls)
}

fn parse<T: FromStr<Err: std::fmt::Display>>(field: &str, text: &str) -> Result<T, Refusal> {
    text.parse().map_err(|why| Refusal::invalid(field, why))
}

fn secret_id(field: &str, text: &str) -> Result<SecretId, Refusal> {
    parse(field, text).map_err(|refusal: Refusal| {
        refusal.hint("a manifest names secrets by id; `meshkeep secret list` shows the ids")
    })
}

fn memory(text: &str) -> Result<u64, Refusal> {
    let field = format!("metadata.annotations.{MEMORY}");
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let shift = match unit {
        "Ki" => 10,
        "Mi" => 20,
        "Gi" => 30,
        "" => 0,
        _ => return Err(Refusal::invalid(&field, "must be a number of bytes, or one with Ki, Mi or Gi")),
    };
    let bytes = digits.parse::<u64>().ok().and_then(|n| n.checked_mul(1 << shift));
    match bytes {
        Some(bytes) if bytes >= 4 << 20 => Ok(bytes),
        _ => Err(Refusal::invalid(&field, "must be at least 4Mi")),
    }
}

fn pids(text: &str) -> Result<u32, Refusal> {
    text.parse()
        .ok()
        .filter(|n| (1..=32_768).contains(n))
        .ok_or_else(|| Refusal::invalid(&format!("metadata.annotations.{PIDS}"), "must be a number from 1 to 32768"))
}

fn capabilities(text: &str) -> Result<Vec<&'static str>, Refusal> {
    text.split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
        .map(|word| {
            KNOWN_CAPABILITIES.into_iter().find(|known| *known == word).ok_or_else(|| {
                Refusal::invalid(
                    &format!("metadata.annotations.{CAPABILITIES}"),
                    format!("may list only {}", KNOWN_CAPABILITIES.join(", ")),
                )
            })
        })
        .collect()
}

fn version_field(why: impl std::fmt::Display) -> Refusal {
    Refusal::invalid(&format!("metadata.annotations.{VERSIONS}"), why)
}

fn versions(text: &str) -> Result<BTreeMap<SecretId, u32>, Refusal> {
    let mut versions = BTreeMap::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (id, version) = part
            .split_once('=')
            .and_then(|(id, version)| Some((id.trim().parse().ok()?, version.trim().parse().ok()?)))
            .filter(|(_, version)| *version > 0)
            .ok_or_else(|| version_field("must list secret ids with a version each, such as `0198c2f4-…=4`"))?;
        if versions.insert(id, version).is_some() {
            return Err(version_field(format!("names {id} twice")));
        }
    }
    Ok(versions)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEATHER: &str = "version: v1\nkind: Service\nmetadata:\n  name: weather\n  annotations:\n    meshkeep.memory: 64Mi\n    \
                           meshkeep.capabilities: CHOWN, SETUID\nports:\n  - num: 8000\n    liveness: /healthz\ncontainer:\n  \
                           image: registry.example/w:1\n  command: run --x 'a b'\n  environment:\n    - name: MODE\n      value: fast\n  \
                           secrets: [0198c2f4-7b1e-7c3a-9d55-2f6f0a1b2c3d]\n";

    fn refused(change: impl Fn(&str) -> String) -> String {
        let text = change(WEATHER);
        assert_ne!(text, WEATHER, "the test changed nothing");
        from_yaml::<ServiceSpec>(&text).and_then(|spec| check(&spec)).unwrap_err().to_string()
    }

    #[test]
    fn a_whole_manifest_is_read() {
        let spec: ServiceSpec = from_yaml(WEATHER).unwrap();
        let checked = check(&spec).unwrap();
        assert_eq!(checked.command.unwrap(), ["run", "--x", "a b"]);
        assert_eq!(checked.memory_bytes, Some(64 << 20));
        assert_eq!(checked.capabilities, ["CHOWN", "SETUID"]);
        assert_eq!(checked.secrets.len(), 1);
        let written = serde_json::to_value(&spec).unwrap();
        assert!(written["container"].get("private").is_none(), "what is not set is not written");
        assert_eq!(serde_json::from_value::<ServiceSpec>(written).unwrap(), spec);
    }

    #[test]
    fn secrets_that_are_bound_may_be_kept_at_a_version() {
        const ID: &str = "0198c2f4-7b1e-7c3a-9d55-2f6f0a1b2c3d";
        let with = |text: &str| {
            let line = format!("  annotations:\n    {VERSIONS}: '{text}'\n");
            let spec: ServiceSpec = from_yaml(&WEATHER.replace("  annotations:\n", &line)).unwrap();
            check(&spec).map(|checked| checked.versions).map_err(|refusal| refusal.message)
        };
        assert_eq!(with(&format!(" {ID} = 4 ,")).unwrap(), [(ID.parse().unwrap(), 4)].into());
        assert_eq!(with("").unwrap(), BTreeMap::new());
        for bad in ["x=1", "=", &format!("{ID}=0"), ID, &format!("{ID}=-1"), &format!("{ID}=1,{ID}=2")] {
            assert!(with(bad).unwrap_err().contains(VERSIONS), "{bad}");
        }
        let other = ID.replace("0198", "0199");
        assert!(with(&format!("{other}=1")).unwrap_err().contains("does not bind"));
    }

    #[test]
    fn further_pull_secrets_stand_behind_the_first() {
        const ID: &str = "0198c2f4-8d02-7000-8c2b-4a1d6f0b7e11";
        let (second, third) = (ID.replace("8d02", "8d03"), ID.replace("8d02", "8d04"));
        let with = |first: &str, further: &str| {
            let line = format!("  annotations:\n    {PULL_SECRETS}: '{further}'\n");
            let container = format!("container:\n  {first}\n");
            let text = WEATHER.replace("  annotations:\n", &line).replace("container:\n", &container);
            let spec: ServiceSpec = from_yaml(&text).unwrap();
            check(&spec).map(|checked| checked.pull_secrets).map_err(|refusal| (refusal.field, refusal.message))
        };
        let first = format!("pull_secret: {ID}");
        let ids = |ids: &[&str]| ids.iter().map(|id| id.parse().unwrap()).collect::<Vec<SecretId>>();
        assert_eq!(with(&first, &format!("{second}, {third},")).unwrap(), ids(&[ID, &second, &third]));
        assert_eq!(with(&first, "").unwrap(), ids(&[ID]));
        let many =
            (0..MAX_PULL_SECRETS).map(|n| ID.replace("8d02", &format!("9d{n:02}"))).collect::<Vec<_>>().join(",");
        for (first, further, word) in [
            ("", second.as_str(), "names none"),
            (&first, ID, "twice"),
            (&first, "x", "id"),
            (&first, &many, "more than 16"),
        ] {
            let (field, message) = with(first, further).unwrap_err();
            assert!(field.ends_with(PULL_SECRETS) && message.contains(word), "{field}: {message}");
        }
    }

    #[test]
    fn explicit_nulls_of_a_full_dump_are_read() {
        let json = r#"{"version":"v1","kind":"Service","id":null,"metadata":{"name":"a","annotations":null},"files":null,
            "agents":[{"name":"b","channels":{"messaging":null,"email":null},"email":null,"heartbeat":null}],
            "ports":[{"num":"*","type":"http","endpoints":null}],"container":{"image":"x","environment":null,"secrets":null,
            "storage":{"room":null,"files":null,"configs":null}},"external":null}"#;
        let spec: ServiceSpec = from_yaml(json).unwrap();
        check(&spec).unwrap();
    }

    #[test]
    fn every_refusal_names_the_member() {
        let swap = |from: &'static str, to: &'static str| refused(move |text| text.replace(from, to));
        assert!(swap("name: weather", "name: 'we ather'").contains("`metadata.name`"));
        assert!(swap("image: registry.example/w:1", "image: ''").contains("`container.image`"));
        assert!(swap("'a b'", "'a b").contains("`"));
        assert!(swap("name: MODE", "name: 9MODE").contains("`container.environment[0].name`"));
        assert!(swap("value: fast", "token: {identity: ''}").contains("`container.environment[0].token.identity`"));
        assert!(
            swap("value: fast", "token: {identity: x, role: boss}").contains("`container.environment[0].token.role`")
        );
        assert!(swap("value: fast", "token: {identity: x, api: {containers: 5}}").contains("[0].token.api`"));
        assert!(swap("value: fast", "secret: {identity: x, id: ''}").contains("`container.environment[0].secret.id`"));
        assert!(swap("value: fast", "value: a\n      token: {identity: x}").contains("give one of the three"));
        assert!(
            swap("  command:", "  api_key: {role: user, name: x}\n  command:").contains("`container.api_key.role`")
        );
        let mailbox = swap("kind: Service\n", "kind: Service\nagents: [{name: x, channels: {queue: [{queue: q}]}}]\n");
        assert!(mailbox.contains("`agents[0].channels.queue` is not offered"), "{mailbox}");
        assert!(
            swap("kind: Service\n", "kind: Service\nfiles: [{path: /a, text: b}]\n").contains("`files` is not offered")
        );
        assert!(swap("    liveness: /healthz", "    endpoints: [{path: x}]").contains("`ports[0].endpoints[0].path`"));
        assert!(swap("0198c2f4-7b1e-7c3a-9d55-2f6f0a1b2c3d", "weather-api").contains("`container.secrets[0]`"));
        assert!(swap("/healthz", "healthz").contains("`ports[0].liveness`"));
        assert!(swap("64Mi", "64MB").contains("meshkeep.memory"));
        assert!(swap("CHOWN", "SYS_ADMIN").contains("meshkeep.capabilities"));
        assert!(swap("num: 8000", "num: 70000").contains("line 9"));
        let unknown = swap("  command:", "  comand:");
        assert!(unknown.contains("comand") && unknown.matches("line").count() == 1, "{unknown}");
        let twice = swap("  command:", "  image: y\n  command:");
        assert!(twice.contains("line"), "{twice}");
    }
}
