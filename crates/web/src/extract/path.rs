//! Objects named in the path. A text that cannot be an id or name is an object that does not exist: 404.

use std::str::FromStr;

use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;
use meshkeep_control::Scope;
use meshkeep_core::{
    id::{ApiKeyId, RoomId, SecretId, ServiceId, SessionId},
    name::RoomName,
};

use crate::{
    error::{ApiError, no_such},
    state::WebState,
};

/// What may stand in a path, under which parameter and what people call it.
pub(crate) trait InPath: FromStr {
    const PARAM: &'static str;
    const NOUN: &'static str;
}

macro_rules! in_path {
    ($($type:ty: $param:literal, $noun:literal;)+) => {$(
        impl InPath for $type {
            const PARAM: &'static str = $param;
            const NOUN: &'static str = $noun;
        }
    )+};
}

in_path! {
    ApiKeyId: "key", "API key";
    SecretId: "secret", "secret";
    ServiceId: "service", "service";
    SessionId: "session", "session";
    RoomId: "room", "room";
    RoomName: "room", "room";
}

/// The object of this type that the path names.
pub(crate) struct At<T>(pub(crate) T);

impl<T: InPath> FromRequestParts<WebState> for At<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<Self, ApiError> {
        find(parts, state).await?.map(Self).ok_or_else(|| no_such(T::NOUN))
    }
}

/// Whose services the path means: the project's, or one room's.
pub(crate) struct InScope(pub(crate) Scope);

impl FromRequestParts<WebState> for InScope {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<Self, ApiError> {
        Ok(Self(find::<RoomName>(parts, state).await?.map_or(Scope::Project, Scope::Room)))
    }
}

/// `None` when the path has no such parameter.
async fn find<T: InPath>(parts: &mut Parts, state: &WebState) -> Result<Option<T>, ApiError> {
    let params = RawPathParams::from_request_parts(parts, state).await.map_err(|_| no_such(T::NOUN))?;
    let found = params.iter().find(|(name, _)| *name == T::PARAM);
    found.map(|(_, text)| text.parse().map_err(|_| no_such(T::NOUN))).transpose()
}
