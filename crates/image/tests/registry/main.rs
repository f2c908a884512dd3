//! Fetching from real and from hostile registries on loopback.

mod addresses;
mod ecr;
mod faults;
mod hostile;
mod pull;
mod refusals;
mod support;
mod tls;
mod token;
