//! Stylesheet, module and icon: in the program, under names that change with what is in them.

use std::{fmt::Write as _, sync::LazyLock};

use axum::{Router, extract::Path, response::IntoResponse, routing::get};
use http::{HeaderValue, header};
use sha2::{Digest as _, Sha256};

use crate::{edge::no_route, error::ApiError, state::WebState};

/// What is under such a name never changes.
pub(crate) const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

struct Asset {
    /// Under which the page asks for it.
    url: String,
    media_type: &'static str,
    bytes: &'static [u8],
}

impl Asset {
    fn new(name: &str, extension: &str, media_type: &'static str, bytes: &'static [u8]) -> Self {
        let mut url = format!("/studio/assets/{name}-");
        for byte in &Sha256::digest(bytes)[..6] {
            // Writing to a text does not fail.
            let _ = write!(url, "{byte:02x}");
        }
        Self { url: format!("{url}.{extension}"), media_type, bytes }
    }
}

static ASSETS: LazyLock<[Asset; 3]> = LazyLock::new(|| {
    [
        Asset::new("studio", "css", "text/css; charset=utf-8", include_bytes!("../../assets/studio.css")),
        Asset::new("studio", "js", "text/javascript; charset=utf-8", include_bytes!("../../assets/studio.js")),
        Asset::new("icon", "svg", "image/svg+xml", include_bytes!("../../assets/icon.svg")),
    ]
});

/// The stylesheet's path.
pub(super) fn style() -> &'static str {
    &ASSETS[0].url
}

/// The module's path.
pub(super) fn script() -> &'static str {
    &ASSETS[1].url
}

/// The icon's path.
pub(super) fn icon() -> &'static str {
    &ASSETS[2].url
}

pub(super) fn router() -> Router<WebState> {
    Router::new().route("/studio/assets/{name}", get(asset))
}

async fn asset(Path(name): Path<String>) -> Result<impl IntoResponse, ApiError> {
    let found = ASSETS.iter().find(|asset| asset.url.rsplit('/').next() == Some(&name)).ok_or_else(no_route)?;
    Ok((
        [(header::CONTENT_TYPE, HeaderValue::from_static(found.media_type)), (header::CACHE_CONTROL, FOREVER)],
        found.bytes,
    ))
}
