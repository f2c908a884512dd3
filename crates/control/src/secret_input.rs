//! From what a client sends to what the store seals: every name and value is checked here, at the edge.

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use meshkeep_core::{
    Refusal, RefusalKind, SecretText,
    environment::check_entry,
    name::{EntryName, SecretName},
    secret::{self, Entries, PullCredential, REDACTED, SecretKind},
    wire::SecretWrite,
};
use meshkeep_image::PullScope;
use zeroize::Zeroizing;

/// A write that was checked, `[redacted]` not yet resolved.
pub struct CheckedWrite {
    /// Name.
    pub name: SecretName,
    /// Kind.
    pub kind: SecretKind,
    /// Entries as sent.
    pub entries: Entries,
}

/// Checks a whole write.
///
/// # Errors
/// `Invalid`, naming the field and never a value.
pub fn check(write: SecretWrite) -> Result<CheckedWrite, Refusal> {
    let name = write.name.parse().map_err(|why| Refusal::invalid("name", why))?;
    let kind = match write.kind.as_str() {
        "keys" => SecretKind::Keys,
        "docker" => SecretKind::Docker,
        _ => return Err(Refusal::invalid("type", "must be `keys` or `docker`")),
    };
    let data = match (write.data, write.data_base64) {
        (Some(data), None) => data,
        (None, Some(encoded)) => decode(&encoded)?,
        (Some(_), Some(_)) => return Err(Refusal::invalid("data", "and `data_base64` are both there; send one")),
        (None, None) => return Err(Refusal::invalid("data", "is missing; send `data` or `data_base64`")),
    };
    let entries = check_entries(kind, data)?;
    Ok(CheckedWrite { name, kind, entries })
}

/// Checks entry names and values of a map.
///
/// # Errors
/// `Invalid`, naming the entry and never a value.
pub fn check_entries(kind: SecretKind, data: BTreeMap<String, SecretText>) -> Result<Entries, Refusal> {
    let entries = check_names(kind, data, "data")?;
    check_whole(kind, &entries)?;
    Ok(entries)
}

/// Checks each entry of the member `field` by itself.
///
/// # Errors
/// `Invalid`, naming the entry and never a value.
pub fn check_names(kind: SecretKind, data: BTreeMap<String, SecretText>, field: &str) -> Result<Entries, Refusal> {
    let mut entries = Entries::new();
    for (name, value) in data {
        let name: EntryName =
            name.parse().map_err(|why| Refusal::invalid(&format!("{field}.{}", shown(&name)), why))?;
        if kind == SecretKind::Keys {
            check_entry(&name, &value)?;
        }
        entries.insert(name, value);
    }
    Ok(entries)
}

/// Checks that all entries together are what a secret of this kind is.
///
/// # Errors
/// `Invalid`, naming the entry and never a value.
pub fn check_whole(kind: SecretKind, entries: &Entries) -> Result<(), Refusal> {
    match kind {
        SecretKind::Keys => Ok(()),
        SecretKind::Docker => check_docker(entries),
    }
}

/// The credential that a pull secret of this name holds.
///
/// # Errors
/// `Invalid` when a member is missing: it was stored by another version of meshkeep.
pub fn pull_credential(mut entries: Entries, secret: &SecretName) -> Result<PullCredential, Refusal> {
    let mut member = |name: &str| {
        entries.remove(name).ok_or_else(|| {
            let message = format!("the pull secret {secret} has no {name}");
            Refusal::new(RefusalKind::Invalid, "bad_pull_secret", message).hint("save the pull secret again")
        })
    };
    let (server, username, password): (SecretText, _, _) =
        (member("server")?, member("username")?, member("password")?);
    Ok(PullCredential { server: server.expose().to_owned(), username, password })
}

/// Puts stored values where the client sent `[redacted]`.
///
/// # Errors
/// `Invalid` for an entry that is not stored.
pub fn keep_redacted(entries: &mut Entries, stored: &Entries) -> Result<(), Refusal> {
    for (name, value) in entries.iter_mut() {
        if value.expose() != REDACTED {
            continue;
        }
        match stored.get(name) {
            Some(kept) => *value = kept.clone(),
            None => return Err(placeholder(name)),
        }
    }
    Ok(())
}

/// Refuses `[redacted]` where nothing is stored yet.
///
/// # Errors
/// `Invalid`, naming the entry.
pub fn refuse_redacted(entries: &Entries) -> Result<(), Refusal> {
    entries.iter().find(|(_, value)| value.expose() == REDACTED).map_or(Ok(()), |(name, _)| Err(placeholder(name)))
}

/// What a person should know about values that are stored byte for byte.
#[must_use]
pub fn warnings(kind: SecretKind, entries: &Entries) -> Vec<String> {
    let remarks = |(name, value): (&EntryName, &SecretText)| match kind {
        SecretKind::Keys => secret::remarks(name.as_str(), value),
        SecretKind::Docker => secret::blanks(name.as_str(), value.expose()),
    };
    entries.iter().flat_map(remarks).collect()
}

fn placeholder(name: &EntryName) -> Refusal {
    Refusal::invalid(&format!("data.{name}"), format!("is `{REDACTED}`, but no value is stored under this name"))
        .hint("send the value itself")
}

fn check_docker(entries: &Entries) -> Result<(), Refusal> {
    const MEMBERS: [&str; 4] = ["server", "username", "password", "email"];
    if let Some(other) = entries.keys().find(|name| !MEMBERS.contains(&name.as_str())) {
        return Err(Refusal::invalid(&format!("data.{other}"), "is not a member of a pull secret")
            .hint("a pull secret has `server`, `username`, `password` and optionally `email`"));
    }
    for member in &MEMBERS[..3] {
        let value = entries.get(*member).ok_or_else(|| Refusal::invalid(&format!("data.{member}"), "is missing"))?;
        if value.is_empty() {
            return Err(Refusal::invalid(&format!("data.{member}"), "is empty"));
        }
    }
    PullScope::of_server(entries["server"].expose()).map_err(|why| {
        Refusal::invalid("data.server", why).hint(
            "give the registry, such as registry.example.com or docker.io, or with it the path of the images it is for",
        )
    })?;
    if entries["username"].expose().contains(':') {
        return Err(Refusal::invalid(
            "data.username",
            "holds a colon, which Basic authentication cannot carry (RFC 7617)",
        ));
    }
    let control = |text: &SecretText| text.expose().bytes().any(|b| b == 0);
    match entries.iter().find(|(_, value)| control(value)) {
        Some((name, _)) => Err(Refusal::invalid(&format!("data.{name}"), "holds a NUL byte")),
        None => Ok(()),
    }
}

/// Clients from 0.34 send the map as base64 of its JSON text.
fn decode(encoded: &SecretText) -> Result<BTreeMap<String, SecretText>, Refusal> {
    let bytes = BASE64_STANDARD
        .decode(encoded.expose())
        .map(Zeroizing::new)
        .map_err(|_| Refusal::invalid("data_base64", "is not base64"))?;
    serde_json::from_slice(&bytes)
        .map_err(|_| Refusal::invalid("data_base64", "does not hold a JSON object of strings"))
}

/// A name that failed its check, fit for a message: bounded and printable.
fn shown(name: &str) -> String {
    let clean: String = name.chars().filter(|c| c.is_ascii_graphic()).take(40).collect();
    if clean == name { clean } else { format!("{clean}…") }
}

/// The refusal of a request that edits a version which is no longer the newest.
#[must_use]
pub fn stale(sent: u32, newest: u32) -> Refusal {
    Refusal::new(
        RefusalKind::Stale,
        "stale_version",
        format!("this edit began from version {sent}, but the newest is version {newest}"),
    )
    .hint("read the secret again and repeat the edit; nothing was saved")
}
