//! Rendering service templates.

use meshkeep_core::{
    Refusal,
    secret::REDACTED,
    service::ServiceSpec,
    template::{self, SEALED, TemplateSpec, TemplateWrite},
};

use crate::{Caller, Control};

impl Control {
    /// What a template becomes with these values, before it is saved. Values of `obscure` variables are not repeated.
    ///
    /// # Errors
    /// What does not fit.
    pub fn render_template(&self, _: &Caller, write: &TemplateWrite) -> Result<TemplateSpec, Refusal> {
        let mut spec = template::render(write)?;
        let sealed = spec.metadata.annotations.get(SEALED).cloned().unwrap_or_default();
        for entry in spec.container.iter_mut().flat_map(|container| container.environment.iter_mut().flatten()) {
            if let Some(value) = entry.value.as_mut().filter(|_| sealed.split(',').any(|name| name == entry.name)) {
                REDACTED.clone_into(value);
            }
        }
        Ok(spec)
    }
}

/// The manifest that a template becomes.
///
/// # Errors
/// What does not fit.
pub fn from_template(write: &TemplateWrite) -> Result<ServiceSpec, Refusal> {
    template::render(write).map(template::into_service)
}
