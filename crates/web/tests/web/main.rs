//! The edge as clients meet it.

mod tls;
