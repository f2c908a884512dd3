//! The router, made from the one table of routes.

use std::sync::Arc;

use axum::{Router, middleware};
use meshkeep_control::Control;

use crate::{
    api,
    edge::{edge, no_route, wrong_method},
    era,
    metrics::Metrics,
    route::RouteInfo,
    state::{Settings, WebState},
    studio,
};

/// All routes over `control`.
pub fn router(control: Control, settings: Settings) -> Router {
    let metrics = Arc::new(Metrics::new());
    let state = WebState { control, metrics: Arc::clone(&metrics), settings };
    let mut router = Router::new();
    for route in api::routes() {
        router = router.route(route.info.path, route.handler);
    }
    let router = router
        .merge(studio::router())
        .method_not_allowed_fallback(|| async { wrong_method() })
        .fallback(|| async { no_route() })
        .layer(middleware::from_fn_with_state(metrics, edge))
        .with_state(state);
    // Outside of it: what is rewritten is routed anew.
    Router::new().fallback_service(router).layer(middleware::from_fn(era::adapt))
}

/// Every route, for documents and for tests that must miss none.
#[must_use]
pub fn routes() -> Vec<RouteInfo> {
    api::routes().into_iter().map(|route| route.info).collect()
}
