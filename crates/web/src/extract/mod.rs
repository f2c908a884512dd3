//! Extractors of our own: bounded, strict, and never quoting what they refuse.

mod auth;
mod body;
pub(crate) mod fit;
mod if_match;
mod path;
mod query;

pub(crate) use auth::{Authenticated, In, bearer, client_address};
pub(crate) use body::{Body, Document, YamlText, form_bytes};
pub(crate) use if_match::IfMatch;
pub(crate) use path::{At, InScope};
pub(crate) use query::Query;
