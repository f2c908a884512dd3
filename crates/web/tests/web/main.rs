//! The edge as clients meet it.

mod bodies;
mod credentials;
mod matrix;
mod rooms;
mod secrecy;
mod secrets;
mod services;
mod sessions;
mod studio;
mod support;
mod tls;
