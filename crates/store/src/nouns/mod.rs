//! One file per noun, each an `impl Tx`.

pub(crate) mod api_key;
pub(crate) mod audit;
pub(crate) mod event;
pub(crate) mod list;
pub(crate) mod project;
pub(crate) mod rolling_restart;
pub(crate) mod room;
pub(crate) mod room_secret;
pub(crate) mod secret;
pub(crate) mod secret_use;
pub(crate) mod server;
pub(crate) mod service;
pub(crate) mod session;
pub(crate) mod studio;
pub(crate) mod workload;

use uuid::Uuid;

/// A new id: version 7, so that rows made together lie together.
fn new_id() -> Uuid {
    Uuid::now_v7()
}
