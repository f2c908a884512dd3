//! From the text of a manifest to one whose meaning was checked.
//!
//! Every refusal names the member, such as `container.environment[2].name`. What this server does not offer yet is
//! refused by name and never silently ignored.

use std::{
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
};

use serde::de::DeserializeOwned;

use crate::{
    Refusal, SecretText, command_line,
    environment::check_entry,
    id::SecretId,
    name::{EntryName, ServiceName},
    service::{ContainerSpec, PortNum, ServiceSpec},
    storage::{self, Mount},
};

/// The annotation that adds capabilities within the workload's user namespace.
pub const CAPABILITIES: &str = "meshkeep.capabilities";
/// The annotation that sets the memory limit, such as `256Mi`.
pub const MEMORY: &str = "meshkeep.memory";
/// The annotation that sets how many processes and threads there may be.
pub const PIDS: &str = "meshkeep.pids";
/// The annotation that keeps secrets at a version: `ID=VERSION`, several with commas. Others follow the newest.
pub const VERSIONS: &str = "meshkeep.versions";
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
    /// The pull secret.
    pub pull_secret: Option<SecretId>,
    /// The command in words.
    pub command: Option<Vec<String>>,
    /// Plain variables.
    pub environment: Vec<(EntryName, SecretText)>,
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
    check_ports(spec)?;
    let annotation = |name: &str| spec.metadata.annotations.get(name).map(String::as_str);
    let mut checked = Checked {
        name,
        secrets: Vec::new(),
        pull_secret: None,
        command: None,
        environment: Vec::new(),
        mounts: Vec::new(),
        memory_bytes: annotation(MEMORY).map(memory).transpose()?,
        pids: annotation(PIDS).map(pids).transpose()?,
        capabilities: annotation(CAPABILITIES).map(capabilities).transpose()?.unwrap_or_default(),
        versions: annotation(VERSIONS).map(versions).transpose()?.unwrap_or_default(),
    };
    if let Some(container) = &spec.container {
        check_container(container, &mut checked)?;
    }
    let bound = |id| checked.secrets.contains(id) || checked.pull_secret.as_ref() == Some(id);
    if let Some(id) = checked.versions.keys().find(|id| !bound(id)) {
        return Err(version_field(format!("names {id}, which this service does not bind")));
    }
    Ok(checked)
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
    not_offered("container.api_key", container.api_key.is_some())?;
    if let Some(storage) = &container.storage {
        not_offered("container.storage.room", !storage.room.is_empty())?;
        not_offered("container.storage.project", !storage.project.is_empty())?;
        not_offered("container.storage.images", !storage.images.is_empty())?;
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
    if let Some(id) = container.pull_secret.as_deref() {
        checked.pull_secret = Some(secret_id("container.pull_secret", id)?);
    }
    Ok(())
}

fn check_environment(container: &ContainerSpec, checked: &mut Checked) -> Result<(), Refusal> {
    let mut seen = BTreeSet::new();
    for (position, entry) in container.environment.iter().enumerate() {
        let field = |member: &str| format!("container.environment[{position}].{member}");
        let name = parse::<EntryName>(&field("name"), &entry.name)?;
        not_offered(&field("token"), entry.token.is_some())?;
        not_offered(&field("secret"), entry.secret.is_some())?;
        let value = entry.value.as_deref().ok_or_else(|| Refusal::invalid(&field("value"), "is missing"))?;
        let value = SecretText::from(value);
        check_entry(&name, &value)?;
        if !seen.insert(name.clone()) {
            return Err(Refusal::invalid(&field("name"), format!("repeats {name}")));
        }
        checked.environment.push((name, value));
    }
    Ok(())
}

fn check_ports(spec: &ServiceSpec) -> Result<(), Refusal> {
    let mut seen = BTreeSet::new();
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
    }
    Ok(())
}

fn not_offered(field: &str, is_there: bool) -> Result<(), Refusal> {
    if is_there {
        return Err(Refusal::invalid(field, "is not offered by this server yet").hint("remove it from the manifest"));
    }
    Ok(())
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
    fn explicit_nulls_of_a_full_dump_are_read() {
        let json = r#"{"version":"v1","kind":"Service","id":null,"metadata":{"name":"a","annotations":null},"agents":null,
            "ports":[{"num":"*","type":"http","endpoints":null}],"container":{"image":"x","environment":null,"secrets":null,
            "storage":{"room":null,"files":null}},"external":null}"#;
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
        assert!(
            swap("value: fast", "token: {identity: x}").contains("`container.environment[0].token` is not offered")
        );
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
