//! What every page has around it, how it is sent, and the page that says what went wrong.

use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use http::{HeaderValue, header};
use meshkeep_core::{access::Action, id::ProjectId};

use super::assets;
use crate::error::ApiError;

/// Everything from this server and nothing inline; no other page may show it in a frame.
pub(crate) const CSP: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; \
     base-uri 'none'; frame-ancestors 'none'",
);

/// Where in the navigation a page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Secrets,
    Services,
    Sessions,
    Rooms,
    Keys,
    Activity,
    Settings,
    Elsewhere,
}

/// What a page needs for its frame.
pub(super) struct Frame {
    /// Of the page, for the window.
    pub(super) title: String,
    pub(super) section: Section,
    /// The project that the page is about.
    pub(super) project: Option<Place>,
    /// Who is signed in, by name.
    pub(super) who: Option<String>,
    pub(super) is_operator: bool,
    /// For every form.
    pub(super) csrf: String,
}

/// A project, and what the visitor may see of it.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) id: ProjectId,
    pub(super) name: String,
    pub(super) sections: Vec<Section>,
}

/// Section, path below the project, name, and what one must be allowed to see it.
pub(super) const NAVIGATION: [(Section, &str, &str, Action); 7] = [
    (Section::Services, "services", "Services", Action::ReadServices),
    (Section::Sessions, "sessions", "Sessions", Action::Look),
    (Section::Rooms, "rooms", "Rooms", Action::Look),
    (Section::Secrets, "secrets", "Secrets", Action::ReadSecrets),
    (Section::Keys, "keys", "API keys", Action::ManageKeys),
    (Section::Activity, "activity", "Activity", Action::ReadAudit),
    (Section::Settings, "settings", "Settings", Action::ReadAudit),
];

impl Frame {
    /// For a page before anybody is signed in.
    pub(super) fn outside(title: &str) -> Self {
        Self {
            title: title.to_owned(),
            section: Section::Elsewhere,
            project: None,
            who: None,
            is_operator: false,
            csrf: String::new(),
        }
    }

    pub(super) fn style(&self) -> &'static str {
        assets::style()
    }

    pub(super) fn script(&self) -> &'static str {
        assets::script()
    }

    pub(super) fn icon(&self) -> &'static str {
        assets::icon()
    }

    /// The project's pages begin with this.
    pub(super) fn base(&self) -> String {
        self.project.as_ref().map(|project| base(project.id)).unwrap_or_default()
    }

    /// The navigation: section, path below the project, name.
    pub(super) fn navigation(&self) -> Vec<(bool, String, &'static str)> {
        let Some(project) = &self.project else { return Vec::new() };
        let base = self.base();
        let shown = NAVIGATION.iter().filter(|(section, ..)| project.sections.contains(section));
        shown.map(|(section, path, name, _)| (*section == self.section, format!("{base}/{path}"), *name)).collect()
    }
}

/// The pages of a project begin with this.
pub(super) fn base(project: ProjectId) -> String {
    format!("/studio/projects/{project}")
}

/// A rendered page.
pub(super) struct Page<T>(pub(super) T);

impl<T: Template> IntoResponse for Page<T> {
    fn into_response(self) -> Response {
        match self.0.render() {
            Ok(text) => Html(text).into_response(),
            Err(error) => {
                tracing::error!(%error, "a page could not be rendered");
                ApiError::broken_page().into_response()
            }
        }
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    frame: Frame,
    message: &'a str,
    hint: &'a str,
    request_id: &'a str,
}

/// What went wrong, as a page.
pub(crate) fn error_page(message: &str, hint: &str, request_id: &str) -> String {
    let frame = Frame::outside("That did not work");
    // A template of texts always renders.
    ErrorPage { frame, message, hint, request_id }.render().unwrap_or_default()
}

/// Sends the browser to another page, after a form was done.
pub(super) fn see(path: &str) -> Response {
    match HeaderValue::from_str(path) {
        Ok(path) => (http::StatusCode::SEE_OTHER, [(header::LOCATION, path)]).into_response(),
        Err(_) => ApiError::broken_page().into_response(),
    }
}
