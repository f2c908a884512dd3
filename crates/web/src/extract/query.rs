//! Query strings. Unknown parameters are left alone: clients send some that mean nothing here.

use axum::extract::FromRequestParts;
use http::request::Parts;
use meshkeep_core::Refusal;
use serde::de::DeserializeOwned;

use crate::error::ApiError;

/// The parameters that a handler reads.
pub(crate) struct Query<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match axum::extract::Query::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(query)) => Ok(Self(query)),
            Err(_) => Err(Refusal::invalid("query", "has a parameter that does not fit")
                .hint("numbers are decimal, switches are `true` or `false`, each parameter stands once")
                .into()),
        }
    }
}
