//! A project service's manifest as YAML.

use axum::response::{IntoResponse as _, Response};
use http::header;
use meshkeep_control::Scope;
use meshkeep_core::{Refusal, RefusalKind, access::Action, id::ServiceId, service::ServiceSpec};

use crate::{
    api::Answer,
    error::ApiError,
    extract::{At, In, YamlText},
    route::Route,
};

const PATH: &str = "/accounts/projects/{project}/services/{service}/manifest";

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get(PATH, read).summary("The manifest as YAML").needs(Action::ReadServices).answers(200, "text/yaml"),
        Route::put(PATH, write)
            .summary("Replace the manifest by YAML")
            .needs(Action::ManageServices)
            .takes("text/yaml")
            .answers(200, "ServiceSpec"),
    ]
}

async fn read(In { control, caller, project }: In, At(service): At<ServiceId>) -> Result<Response, ApiError> {
    let spec = control.service(&caller, project, Scope::Project, service).await?;
    let text = serde_saphyr::to_string(&spec)
        .map_err(|_| Refusal::new(RefusalKind::Broken, "internal", "the manifest could not be written as YAML"))?;
    Ok(([(header::CONTENT_TYPE, "text/yaml; charset=utf-8")], text).into_response())
}

async fn write(
    In { control, caller, project }: In,
    At(service): At<ServiceId>,
    text: YamlText,
) -> Result<Answer<ServiceSpec>, ApiError> {
    let spec = text.read()?;
    Ok(Answer::ok(control.update_service(&caller, project, Scope::Project, service, spec).await?))
}
