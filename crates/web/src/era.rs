//! The one place that knows of clients' eras: under [`BASE`] the very same routes answer as MeshAgent 0.21 to 0.30 expect.
//!
//! Those clients read the answer to making and changing a project's service, and to rendering a template, as a JSON
//! string that holds the document. No header tells them apart, so the base path does. Nothing behind this knows of it.

use axum::{
    body::{Body, to_bytes},
    extract::Request,
    middleware::Next,
    response::Response,
};
use http::{Method, Uri, header, uri::PathAndQuery};

/// The base path of clients 0.21 to 0.30.
pub(crate) const BASE: &str = "/compat/0.28";

/// Bytes of an answer that is written anew: a manifest's bound, and room for what JSON escapes.
const MAX_ANSWER: usize = 8 << 20;

/// Rewrites what comes under the base path, and the answers that differ there.
pub(crate) async fn adapt(mut request: Request, next: Next) -> Response {
    let Some(uri) = without_base(request.uri()) else { return next.run(request).await };
    let is_quoted = is_quoted(request.method(), uri.path());
    *request.uri_mut() = uri;
    let response = next.run(request).await;
    if is_quoted && response.status().is_success() { quoted(response).await } else { response }
}

/// The URI behind the base path.
fn without_base(uri: &Uri) -> Option<Uri> {
    let rest = uri.path_and_query()?.as_str().strip_prefix(BASE).filter(|rest| rest.starts_with('/'))?;
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(rest).ok()?);
    Uri::from_parts(parts).ok()
}

fn is_quoted(method: &Method, path: &str) -> bool {
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    matches!(
        (method, parts.as_slice()),
        (&Method::POST, ["accounts", "projects", _, "services"] | ["templates", "render"])
            | (&Method::PUT, ["accounts", "projects", _, "services", _])
    )
}

/// The same answer as a JSON string.
async fn quoted(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let text =
        to_bytes(body, MAX_ANSWER).await.ok().and_then(|bytes| serde_json::to_vec(str::from_utf8(&bytes).ok()?).ok());
    parts.headers.remove(header::CONTENT_LENGTH);
    // A body that cannot be read is none: what was done was done.
    Response::from_parts(parts, text.map_or_else(Body::empty, Body::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_under_the_base_path_is_rewritten() {
        let of = |uri: &str| without_base(&uri.parse().unwrap()).map(|uri| uri.to_string());
        assert_eq!(of("/compat/0.28/accounts/projects?a=b").as_deref(), Some("/accounts/projects?a=b"));
        assert_eq!(of("/compat/0.28//rooms/x?token=t").as_deref(), Some("//rooms/x?token=t"));
        for other in ["/accounts/projects", "/compat/0.28", "/compat/0.281/x", "/compat/0.35/x", "/x/compat/0.28/y"] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn only_three_answers_differ() {
        assert!(is_quoted(&Method::POST, "/accounts/projects/p/services"));
        assert!(is_quoted(&Method::PUT, "/accounts/projects/p/services/s"));
        assert!(is_quoted(&Method::POST, "/templates/render"));
        for (method, path) in [
            (Method::GET, "/accounts/projects/p/services"),
            (Method::POST, "/accounts/projects/p/rooms/r/services"),
            (Method::PUT, "/accounts/projects/p/rooms/r/services/s"),
            (Method::DELETE, "/accounts/projects/p/services/s"),
            (Method::POST, "/accounts/projects/p/services/s/pin"),
        ] {
            assert!(!is_quoted(&method, path), "{method} {path}");
        }
    }
}
