//! Secret-like `environment` values of a manifest: sealed with it in the store, `[redacted]` in every answer, kept when
//! a client sends `[redacted]` back.

use meshkeep_core::{
    Refusal,
    secret::{REDACTED, is_secret_like},
    service::{ContainerSpec, ServiceSpec},
};

/// Whether the manifest holds values that are sealed and not shown.
#[must_use]
pub fn has_sealed(spec: &ServiceSpec) -> bool {
    let entries = spec.container.iter().flat_map(|container| &container.environment);
    entries.into_iter().any(|entry| entry.value.is_some() && is_secret_like(&entry.name))
}

/// The manifest as it may be shown.
#[must_use]
pub fn shown(mut spec: ServiceSpec) -> ServiceSpec {
    for entry in entries_mut(&mut spec) {
        if let Some(value) = entry.value.as_mut().filter(|_| is_secret_like(&entry.name)) {
            REDACTED.clone_into(value);
        }
    }
    spec
}

/// Puts stored values where the client sent `[redacted]` for a secret-like name; true when there was such a value.
///
/// # Errors
/// `Invalid` when nothing is stored under that name.
pub fn keep_redacted(spec: &mut ServiceSpec, stored: Option<&ServiceSpec>) -> Result<bool, Refusal> {
    let mut kept_some = false;
    for (position, entry) in entries_mut(spec).enumerate() {
        if entry.value.as_deref() != Some(REDACTED) || !is_secret_like(&entry.name) {
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
    Ok(kept_some)
}

fn entries_mut(spec: &mut ServiceSpec) -> impl Iterator<Item = &mut meshkeep_core::service::EnvironmentEntry> {
    spec.container.iter_mut().flat_map(|ContainerSpec { environment, .. }| environment.iter_mut())
}
