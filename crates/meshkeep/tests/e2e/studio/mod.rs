//! Studio in a real browser, against the real server, registry and engine.

mod attacks;
mod browser;
mod first_walk;
mod foreign;
mod pages;
mod people;
mod walks;

use browser::Browser;

use crate::server::Server;

/// A browser that is signed in with the project's first key.
fn signed_in(server: &Server) -> Browser {
    signed_in_with(server, server.key())
}

/// The same with another key.
fn signed_in_with(server: &Server, key: &str) -> Browser {
    let browser = Browser::new();
    browser.open(&format!("{}/studio", server.url()));
    browser.fill("API key", key);
    browser.press("Sign in");
    browser.sees("Signed in as");
    browser
}
