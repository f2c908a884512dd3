//! Studio in a real browser, against the real server, registry and engine.

mod browser;
mod first_walk;
mod pages;

use browser::Browser;

use crate::server::Server;

/// A browser that is signed in with the project's first key.
fn signed_in(server: &Server) -> Browser {
    let browser = Browser::new();
    browser.open(&format!("{}/studio", server.url()));
    browser.fill("API key", server.key());
    browser.press("Sign in");
    browser.sees("Services");
    browser
}
