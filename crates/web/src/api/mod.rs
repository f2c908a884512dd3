//! The endpoints, one noun per file: each file has its table of routes and thin handlers.

mod answer;
mod api_keys;
mod audit;
mod later;
mod logs;
mod manifests;
mod projects;
mod rooms;
mod secrets;
mod server;
mod services;
mod sessions;

use crate::route::Route;

pub(crate) use answer::Answer;

/// The one table.
pub(crate) fn routes() -> Vec<Route> {
    let nouns = [
        server::routes,
        projects::routes,
        api_keys::routes,
        secrets::routes,
        services::routes,
        manifests::routes,
        rooms::routes,
        sessions::routes,
        logs::routes,
        audit::routes,
        crate::room::routes,
        crate::proxy::routes,
        later::routes,
    ];
    nouns.into_iter().flat_map(|routes| routes()).collect()
}
