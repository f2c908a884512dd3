//! The server itself: is it alive, can it serve, what has it done, what can be asked.

use std::sync::Arc;

use axum::extract::State;
use http::{HeaderName, StatusCode, header};
use meshkeep_control::Control;

use crate::{api::Answer, error::ApiError, metrics::Metrics, openapi, route::Route};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/healthz", health).summary("The process answers").answers(200, "text/plain"),
        Route::get("/readyz", ready)
            .summary("The server can serve; 503 with the reason otherwise")
            .answers(200, "text/plain"),
        Route::get("/metrics", metrics).summary("Numbers for Prometheus").answers(200, "text/plain"),
        Route::get("/openapi.json", document).summary("This document").answers(200, "application/json"),
    ]
}

type Text = ([(HeaderName, &'static str); 1], String);

fn text(media_type: &'static str, body: impl Into<String>) -> Text {
    ([(header::CONTENT_TYPE, media_type)], body.into())
}

async fn health() -> Text {
    text("text/plain; charset=utf-8", "ok\n")
}

async fn ready(State(control): State<Control>) -> Result<(StatusCode, Text), ApiError> {
    control.ready().await?;
    Ok((StatusCode::OK, text("text/plain; charset=utf-8", "ready\n")))
}

async fn metrics(State(metrics): State<Arc<Metrics>>) -> Text {
    text("text/plain; version=0.0.4; charset=utf-8", metrics.text())
}

async fn document() -> Answer<serde_json::Value> {
    Answer::ok(openapi::document())
}
