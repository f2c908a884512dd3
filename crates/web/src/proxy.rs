//! The way to ports that services publish: `/rooms/{room}/services/{service}/ports/{num}/…`, http and websockets.
//!
//! What must stay true: what a service answers has no part in this origin, although it comes from it: a browser gives it
//! an origin of its own (`sandbox`), it neither gets nor sets Studio's cookies, and it can clear nothing. A credential
//! that was for meshkeep does not reach the service. What is passed on is not kept and not logged.

use axum::{
    body::Body,
    extract::{FromRef as _, FromRequestParts as _, Request, State},
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header, uri::PathAndQuery};
use hyper::{client::conn::http1, upgrade::OnUpgrade};
use hyper_util::rt::TokioIo;
use meshkeep_control::{Control, Origin, Published};
use meshkeep_core::{Refusal, RefusalKind, name::RoomName};
use tokio::{
    net::TcpStream,
    time::{Duration, timeout},
};

use crate::{
    edge::RequestContext,
    error::{ApiError, no_such},
    extract::{At, bearer, client_address},
    route::Route,
    state::{Settings, WebState},
    studio,
};

/// How long a service may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// Headers that are about one connection, not about what is asked (RFC 9110, section 7.6.1).
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];

/// What would speak for the whole origin.
const FOR_THE_ORIGIN: [HeaderName; 6] = [
    header::STRICT_TRANSPORT_SECURITY,
    HeaderName::from_static("clear-site-data"),
    HeaderName::from_static("service-worker-allowed"),
    HeaderName::from_static("origin-agent-cluster"),
    HeaderName::from_static("alt-svc"),
    HeaderName::from_static("public-key-pins"),
];

/// A page of a service is of no origin but its own: it may run its scripts, and reach nothing here as the visitor.
const SANDBOX: HeaderValue =
    HeaderValue::from_static("sandbox allow-downloads allow-forms allow-modals allow-popups allow-scripts");

const PATHS: [&str; 3] = [
    "/rooms/{room}/services/{service}/ports/{port}",
    "/rooms/{room}/services/{service}/ports/{port}/",
    "/rooms/{room}/services/{service}/ports/{port}/{*rest}",
];

pub(crate) fn routes() -> Vec<Route> {
    let route = |path| {
        Route::any(path, pass)
            .summary("A port that a service publishes; takes a participant token as Bearer unless it is public")
            .needs_token()
            .answers(200, "*/*")
    };
    PATHS.into_iter().map(route).collect()
}

/// Whether what stands in this path after its beginning is a service's own, however it is written.
pub(crate) fn own_part(path: &str) -> Option<&str> {
    let mut parts = path.strip_prefix("/rooms/")?.splitn(5, '/');
    let (_, services, _, ports, rest) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let rest = rest.find('/').map_or("", |at| &rest[at..]);
    (services == "services" && ports == "ports").then_some(rest)
}

async fn pass(State(state): State<WebState>, request: Request) -> Result<Response, ApiError> {
    let (mut parts, body) = request.into_parts();
    let (control, settings) = (Control::from_ref(&state), Settings::from_ref(&state));
    let At(room) = At::<RoomName>::from_request_parts(&mut parts, &state).await?;
    let (service, port) = named(parts.uri.path()).ok_or_else(|| no_such("published port"))?;
    let context = parts.extensions.get::<RequestContext>().cloned().unwrap_or_default();
    let address = client_address(&parts, &settings);
    let origin = Origin { address: address.clone(), request_id: context.id().to_owned() };
    let token = bearer(&parts.headers).filter(|token| !token.is_empty());
    let published = control.published_port(&room, &service, port, token, origin).await?;

    let upgrade = parts.extensions.remove::<OnUpgrade>();
    let protocol = parts.headers.get(header::UPGRADE).cloned().filter(|_| upgrade.is_some());
    parts.uri = at_service(&parts.uri);
    cleaned(&mut parts.headers, published, &address, protocol.as_ref());
    let response = send(published, http::Request::from_parts(parts, body)).await?;
    Ok(answer(response, upgrade))
}

/// Service and port of the path, as they were written.
fn named(path: &str) -> Option<(String, u16)> {
    let mut parts = path.split('/').skip(4);
    let (service, _, port) = (parts.next()?, parts.next()?, parts.next()?);
    Some((service.to_owned(), port.parse().ok()?))
}

/// What is asked of the service: its own part of the path, unchanged, and in the form that origins are asked in (RFC
/// 9112, section 3.2.1); not all services know the form for proxies.
fn at_service(uri: &Uri) -> Uri {
    let path = own_part(uri.path()).filter(|path| !path.is_empty()).unwrap_or("/");
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    PathAndQuery::try_from(format!("{path}{query}")).map(Uri::from).unwrap_or_default()
}

fn cleaned(headers: &mut HeaderMap, published: Published, from: &str, protocol: Option<&HeaderValue>) {
    without_hops(headers);
    if published.hides_credential {
        headers.remove(header::AUTHORIZATION);
    }
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let kept = cookies.flat_map(|value| value.split(';')).map(str::trim).filter(|pair| !studio::is_cookie(pair));
    let kept = kept.collect::<Vec<_>>().join("; ");
    headers.remove(header::COOKIE);
    if let (false, Ok(kept)) = (kept.is_empty(), HeaderValue::from_str(&kept)) {
        headers.insert(header::COOKIE, kept);
    }
    if let Some(host) = headers.get(header::HOST).cloned() {
        headers.insert("x-forwarded-host", host);
    }
    if let Ok(from) = HeaderValue::from_str(from) {
        headers.insert("x-forwarded-for", from);
    }
    if let Ok(host) = HeaderValue::from_str(&published.address.to_string()) {
        headers.insert(header::HOST, host);
    }
    if let Some(protocol) = protocol {
        headers.insert(header::UPGRADE, protocol.clone());
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    }
}

fn without_hops(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in HOP_BY_HOP.iter().chain(&named) {
        headers.remove(name);
    }
}

async fn send(
    published: Published,
    request: http::Request<Body>,
) -> Result<http::Response<hyper::body::Incoming>, ApiError> {
    let stream = match timeout(CONNECT, TcpStream::connect(published.address)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(_)) | Err(_) => return Err(silent()),
    };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|_| silent())?;
    // Ends with the exchange, or with what it was upgraded to.
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "a connection to a published port ended early");
        }
    });
    sender.send_request(request).await.map_err(|_| silent())
}

fn answer(mut response: http::Response<hyper::body::Incoming>, upgrade: Option<OnUpgrade>) -> Response {
    let protocol = response.headers().get(header::UPGRADE).cloned();
    let is_upgraded = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    if let (true, Some(ours)) = (is_upgraded, upgrade) {
        let theirs = hyper::upgrade::on(&mut response);
        tokio::spawn(joined(ours, theirs));
    } else if is_upgraded {
        return silent().into_response();
    }
    let (mut parts, body) = response.into_parts();
    without_hops(&mut parts.headers);
    for name in &FOR_THE_ORIGIN {
        parts.headers.remove(name);
    }
    let cookies: Vec<HeaderValue> = parts.headers.get_all(header::SET_COOKIE).iter().cloned().collect();
    parts.headers.remove(header::SET_COOKIE);
    for cookie in cookies.into_iter().filter(|cookie| cookie.to_str().is_ok_and(|text| !studio::is_cookie(text))) {
        parts.headers.append(header::SET_COOKIE, cookie);
    }
    // Beside the service's own, which may only forbid more.
    parts.headers.append(header::CONTENT_SECURITY_POLICY, SANDBOX);
    if let Some(protocol) = protocol.filter(|_| is_upgraded) {
        parts.headers.insert(header::UPGRADE, protocol);
        parts.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    }
    let mut response = Response::from_parts(parts, Body::new(body));
    response.extensions_mut().insert(Passed);
    response
}

/// The answer is a service's: the edge adds nothing to its headers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passed;

/// Passes bytes both ways until one side ends.
async fn joined(ours: OnUpgrade, theirs: OnUpgrade) {
    let (Ok(ours), Ok(theirs)) = tokio::join!(ours, theirs) else { return };
    let (mut ours, mut theirs) = (TokioIo::new(ours), TokioIo::new(theirs));
    if let Err(error) = tokio::io::copy_bidirectional(&mut ours, &mut theirs).await {
        tracing::debug!(%error, "an upgraded connection to a published port ended early");
    }
}

fn silent() -> ApiError {
    let message = "the service does not answer at this port";
    let refusal = Refusal::new(RefusalKind::Unavailable, "no_answer", message);
    ApiError::from(refusal.hint("look at its state and log; it must listen on all addresses of its container"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_services_own_part_begins_after_the_port() {
        assert_eq!(own_part("/rooms/r/services/s/ports/80/a%20b/c"), Some("/a%20b/c"));
        assert_eq!(own_part("/rooms/r/services/s/ports/80"), Some(""));
        assert_eq!(own_part("/rooms/r/services/s/ports/80/"), Some("/"));
        for other in ["/rooms/r", "/rooms/r/services/s", "/rooms/r/x/s/ports/80/a", "/x/rooms/r/services/s/ports/80/a"]
        {
            assert_eq!(own_part(other), None, "{other}");
        }
    }

    #[test]
    fn nothing_that_is_meshkeeps_reaches_the_service() {
        let address = "10.0.0.2:80".parse().unwrap();
        let headers = |pairs: &[(&str, &str)]| -> HeaderMap {
            pairs.iter().map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap())).collect()
        };
        let given = [
            ("authorization", "Bearer t"),
            ("cookie", "a=1; meshkeep_studio=x; b=2"),
            ("connection", "keep-alive, x-private"),
            ("x-private", "1"),
            ("host", "example.org"),
        ];
        let mut hidden = headers(&given);
        cleaned(&mut hidden, Published { address, hides_credential: true }, "192.0.2.1", None);
        let wanted = headers(&[
            ("cookie", "a=1; b=2"),
            ("host", "10.0.0.2:80"),
            ("x-forwarded-host", "example.org"),
            ("x-forwarded-for", "192.0.2.1"),
        ]);
        assert_eq!(hidden, wanted);
        let mut passed = headers(&given);
        cleaned(&mut passed, Published { address, hides_credential: false }, "192.0.2.1", None);
        assert_eq!(passed["authorization"], "Bearer t", "a public port's credential is the service's own");
    }
}
