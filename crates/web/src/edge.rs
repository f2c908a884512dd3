//! What every request passes: an id, a span, a time limit, a net for panics, one error shape, headers, the access log.
//!
//! What must stay true: the log has the method, the route's pattern, the status, the time, the request's id and the
//! caller's id; never the raw path, the query (tokens travel in it), a header or a body.

use std::{
    net::SocketAddr,
    panic::AssertUnwindSafe,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::FutureExt as _;
use http::{HeaderName, HeaderValue, StatusCode, header};
use meshkeep_core::{Refusal, RefusalKind};
use tracing::Instrument as _;

use crate::{error::ApiError, metrics::Metrics, proxy, studio};

/// How long an answer may take to begin.
const ANSWER_TIME: Duration = Duration::from_secs(120);
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The other end of the connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    /// It came in by a session's own entrance: a service, whatever it says, and never the operator's proxy.
    pub(crate) is_service: bool,
}

/// The request's id, and who is asking once that is known.
#[derive(Clone, Debug, Default)]
pub(crate) struct RequestContext {
    id: Arc<str>,
    caller: Arc<OnceLock<String>>,
}

impl RequestContext {
    fn new() -> Self {
        Self { id: uuid::Uuid::now_v7().to_string().into(), caller: Arc::default() }
    }

    /// Under which the log knows the request.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Notes who is asking, for the log.
    pub(crate) fn set_caller(&self, log_id: String) {
        // A second extractor of the same request finds the same caller.
        let _ = self.caller.set(log_id);
    }
}

/// The outermost layer.
pub(crate) async fn edge(State(metrics): State<Arc<Metrics>>, mut request: Request, next: Next) -> Response {
    let context = RequestContext::new();
    let span = tracing::info_span!("request", id = context.id());
    request.extensions_mut().insert(context.clone());
    let method = request.method().clone();
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let path = matched.as_ref().map_or("(no route)", MatchedPath::as_str);
    let started = Instant::now();
    let in_flight = metrics.begin();

    let is_page = studio::is_page(request.uri().path());
    async {
        let response =
            if is_plain(ours(request.uri().path())) { answer(next, request).await } else { no_route().into_response() };
        drop(in_flight);
        let response = finish(response, &context, is_page);
        let (status, took) = (response.status().as_u16(), started.elapsed());
        let named = if method_is_known(&method) { method.as_str() } else { "OTHER" };
        metrics.answered(named, path, status, took);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let caller = context.caller.get().map_or("-", String::as_str);
        tracing::info!(method = named, path, status, micros, caller, "answered");
        response
    }
    .instrument(span)
    .await
}

/// The part of a path that names something of ours: what a service publishes has names of its own.
fn ours(path: &str) -> &str {
    path.strip_suffix(proxy::own_part(path).unwrap_or_default()).unwrap_or(path)
}

/// Every id and name is written in plain ASCII, so one object has one spelling: a path that needs decoding names none.
fn is_plain(path: &str) -> bool {
    path.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'%' | b'\\' | b';'))
}

fn method_is_known(method: &http::Method) -> bool {
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"].contains(&method.as_str())
}

async fn answer(next: Next, request: Request) -> Response {
    let guarded = AssertUnwindSafe(next.run(request)).catch_unwind();
    match tokio::time::timeout(ANSWER_TIME, guarded).await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => {
            tracing::error!("a handler panicked; the panic's own line says where");
            let refusal =
                Refusal::new(RefusalKind::Broken, "internal", "the server failed while answering this request");
            ApiError::from(refusal.hint("report it with the request id; the server's log has the cause"))
                .into_response()
        }
        Err(_) => {
            let message = format!("the answer took longer than {} seconds", ANSWER_TIME.as_secs());
            let refusal = Refusal::new(RefusalKind::Unavailable, "timeout", message);
            ApiError::from(refusal.hint("look whether it was done, then try again")).into_response()
        }
    }
}

/// Writes a refusal's body, and the headers that every answer has.
fn finish(mut response: Response, context: &RequestContext, is_page: bool) -> Response {
    if let Some(error) = response.extensions_mut().remove::<ApiError>() {
        if error.is_broken() {
            tracing::error!(code = error.code(), why = %error.refusal(), "refused");
        }
        let (body, media_type) = if is_page {
            let Refusal { code, message, hint, .. } = error.refusal();
            let hint = if code == NO_ROUTE { "" } else { hint };
            (studio::error_page(message, hint, context.id()).into_bytes(), "text/html; charset=utf-8")
        } else {
            // A struct of strings always becomes JSON.
            (serde_json::to_vec(&error.body(context.id())).unwrap_or_default(), "application/json")
        };
        *response.body_mut() = body.into();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        response.headers_mut().remove(header::CONTENT_LENGTH);
    }
    let is_passed = response.extensions_mut().remove::<proxy::Passed>().is_some();
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(context.id()) {
        headers.insert(REQUEST_ID, id);
    }
    if is_passed {
        return response;
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Only what never changes says otherwise.
    if headers.get(header::CACHE_CONTROL) != Some(&studio::FOREVER) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    let closed = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
    headers.insert(header::CONTENT_SECURITY_POLICY, if is_page { studio::CSP } else { closed });
    if is_page {
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    }
    response
}

/// The code of [`no_route`]; its hint is for programs.
const NO_ROUTE: &str = "no_route";

/// 404 for what is no route.
pub(crate) fn no_route() -> ApiError {
    ApiError::with_status(StatusCode::NOT_FOUND, NO_ROUTE, "there is nothing under this path")
        .hint("GET /openapi.json lists what there is")
}

/// 405.
pub(crate) fn wrong_method() -> ApiError {
    ApiError::with_status(StatusCode::METHOD_NOT_ALLOWED, "wrong_method", "this path does not take this method")
        .hint("the Allow header lists what it takes")
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, middleware, routing::get};
    use http_body_util::BodyExt as _;
    use meshkeep_core::wire::ErrorBody;
    use tower::ServiceExt as _;

    use super::*;

    async fn ask(path: &str) -> (http::response::Parts, String) {
        async fn panics() -> &'static str {
            panic!("hunter2")
        }
        let metrics = Arc::new(Metrics::new());
        let router = Router::new()
            .route("/fine", get(|| async { "fine" }))
            .route("/panics", get(panics))
            .method_not_allowed_fallback(|| async { wrong_method() })
            .fallback(|| async { no_route() })
            .layer(middleware::from_fn_with_state(metrics, edge));
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        let (head, body) = router.oneshot(request).await.unwrap().into_parts();
        (head, String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_panic_is_an_answer_without_its_text() {
        let (head, body) = ask("/panics").await;
        assert_eq!(head.status, 500);
        let error = serde_json::from_str::<ErrorBody>(&body).unwrap().error;
        assert_eq!(error.code, "internal");
        assert!(!body.contains("hunter2") && !error.hint.is_empty(), "{body}");
        assert_eq!(head.headers[REQUEST_ID], error.request_id.as_str());
    }

    #[tokio::test]
    async fn every_answer_has_its_headers() {
        for path in ["/fine", "/panics", "/nothing"] {
            let (head, _) = ask(path).await;
            assert_eq!(head.headers[header::CACHE_CONTROL], "no-store");
            assert_eq!(head.headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
            assert_eq!(head.headers[REQUEST_ID].len(), 36);
        }
    }

    #[tokio::test]
    async fn only_plain_paths_name_something() {
        assert_eq!(ask("/fine").await.0.status, 200);
        assert_eq!(ask("/fine?a=%2f").await.0.status, 200, "queries are decoded as ever");
        for path in
            ["/f%69ne", "/fine%2f", "/fine%00", "/fine;a", "/fine\u{e9}", "//fine", "/fine/", "/FINE", "/x/../fine"]
        {
            assert_eq!(ask(path).await.0.status, 404, "{path}");
        }
    }
}
