//! The embedded engine: workloads run on this host, without another daemon.

pub mod net;
