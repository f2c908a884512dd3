//! The HTTP edge: MeshAgent's paths and shapes, and meshkeep's own under the same tree.
//!
//! Owns: routes, extraction and its bounds, how a refusal looks on the wire, TLS and connections, the access log.
//! Must never contain: SQL, sealing, engines, decisions about who may do what. A handler unwraps its input, makes one
//! call of `control` and converts the answer.
//!
//! To add an endpoint: write its handler in the noun's file under `api/`, and add a `Route` to that file's `routes()`.
//! The router, `/openapi.json` and the access tests are all made from that one table.

#![forbid(unsafe_code)]

mod api;
mod edge;
mod era;
mod error;
mod extract;
mod metrics;
mod openapi;
mod proxy;
mod room;
mod route;
mod router;
mod server;
mod state;
mod studio;
mod tls;

pub use route::{Needs, RouteInfo};
pub use router::{router, routes};
pub use server::{Entrances, serve};
pub use state::{Facts, Settings};
pub use studio::{PageInfo, PageNeeds, pages};
pub use tls::{Tls, TlsError};
