//! The operations, by noun. Each checks its caller first, does one thing in one transaction, and writes the audit's row
//! in that transaction: what cannot be audited does not happen.

mod api_keys;
pub(crate) mod audit;
mod authenticate;
mod connect;
pub(crate) mod ports;
mod projects;
mod rooms;
pub(crate) mod secrets;
pub(crate) mod services;
mod sessions;
pub(crate) mod studio;
pub(crate) mod templates;
pub(crate) mod usage;

pub(crate) use api_keys::new_secret;
pub(crate) use authenticate::Holder;
pub(crate) use connect::room_url;
pub(crate) use services::{check_in_room, exposes};
pub(crate) use sessions::{Launched, starts_with_session};
