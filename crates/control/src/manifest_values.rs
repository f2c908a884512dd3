//! Values of a manifest's `environment` that are secrets, by their names or by the annotation that says so: sealed with it
//! in the store, `[redacted]` in every answer, kept when a client sends `[redacted]` back.

use std::collections::BTreeSet;

use meshkeep_core::{
    Refusal,
    manifest::sealed_names,
    secret::{REDACTED, is_secret_like},
    service::{ContainerSpec, EnvironmentEntry, ServiceSpec},
    template::SEALED,
};

/// Whether the manifest holds values that are sealed and not shown.
#[must_use]
pub fn has_sealed(spec: &ServiceSpec) -> bool {
    let sealed = Sealed::of(spec);
    let entries = spec.container.iter().flat_map(|container| &container.environment);
    entries.into_iter().any(|entry| entry.value.is_some() && sealed.has(&entry.name))
}

/// The manifest as it may be shown.
#[must_use]
pub fn shown(mut spec: ServiceSpec) -> ServiceSpec {
    let sealed = Sealed::of(&spec);
    for entry in entries_mut(&mut spec) {
        if let Some(value) = entry.value.as_mut().filter(|_| sealed.has(&entry.name)) {
            REDACTED.clone_into(value);
        }
    }
    spec
}

/// Puts stored values where the client sent `[redacted]` for one that is sealed; true when there was such a value. What
/// was sealed stays so, also when the client sent no word of it.
///
/// # Errors
/// `Invalid` when nothing is stored under that name.
pub fn keep_redacted(spec: &mut ServiceSpec, stored: Option<&ServiceSpec>) -> Result<bool, Refusal> {
    let (mut sealed, before) = (Sealed::of(spec), stored.map(Sealed::of).unwrap_or_default());
    let mut kept_some = false;
    for (position, entry) in entries_mut(spec).enumerate() {
        let is_sealed = sealed.has(&entry.name) || before.has(&entry.name);
        if entry.value.as_deref() != Some(REDACTED) || !is_sealed {
            continue;
        }
        let kept = stored
            .and_then(|stored| stored.container.as_ref())
            .and_then(|container| container.environment.iter().find(|kept| kept.name == entry.name))
            .and_then(|kept| kept.value.clone());
        match kept {
            Some(value) => {
                entry.value = Some(value);
                kept_some = true;
                if before.0.contains(&entry.name) {
                    sealed.0.insert(entry.name.clone());
                }
            }
            None => {
                return Err(Refusal::invalid(
                    &format!("container.environment[{position}].value"),
                    format!("is `{REDACTED}`, but no value is stored under this name"),
                )
                .hint("send the value itself"));
            }
        }
    }
    if !sealed.0.is_empty() {
        let names = sealed.0.into_iter().collect::<Vec<_>>().join(",");
        spec.metadata.annotations.insert(SEALED.to_owned(), names);
    }
    Ok(kept_some)
}

/// Names that the annotation lists.
#[derive(Default)]
struct Sealed(BTreeSet<String>);

impl Sealed {
    fn of(spec: &ServiceSpec) -> Self {
        Self(sealed_names(spec).map(str::to_owned).collect())
    }

    fn has(&self, name: &str) -> bool {
        is_secret_like(name) || self.0.contains(name)
    }
}

fn entries_mut(spec: &mut ServiceSpec) -> impl Iterator<Item = &mut EnvironmentEntry> {
    spec.container.iter_mut().flat_map(|ContainerSpec { environment, .. }| environment.iter_mut())
}
