//! One page: what the router serves and what the access test tries, in one value.

use axum::{handler::Handler, routing::MethodRouter};
use meshkeep_core::access::Action;

use crate::state::WebState;

/// What a visitor must be to see a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageNeeds {
    /// Nothing: it is seen before anybody is signed in.
    Nothing,
    /// Signed in.
    Visitor,
    /// Allowed to do this in the path's project. `control` decides; this states it, and a test compares the two.
    May(Action),
}

/// What is known of a page besides its handlers.
#[derive(Clone, Copy, Debug)]
pub struct PageInfo {
    /// The path, parameters in braces.
    pub path: &'static str,
    /// What one must be to see it; none when it is no page but takes a form.
    pub seen_by: Option<PageNeeds>,
    /// Whether it takes a form.
    pub takes_form: bool,
}

/// A page with its handlers.
pub(super) struct PageRoute {
    pub(super) info: PageInfo,
    pub(super) handler: MethodRouter<WebState>,
}

impl PageRoute {
    /// At this path.
    pub(super) fn at(path: &'static str) -> Self {
        Self { info: PageInfo { path, seen_by: None, takes_form: false }, handler: MethodRouter::new() }
    }

    /// It is seen by whom this allows.
    pub(super) fn page<H: Handler<T, WebState>, T: 'static>(mut self, seen_by: PageNeeds, handler: H) -> Self {
        self.info.seen_by = Some(seen_by);
        self.handler = self.handler.get(handler);
        self
    }

    /// It takes a form.
    pub(super) fn form<H: Handler<T, WebState>, T: 'static>(mut self, handler: H) -> Self {
        self.info.takes_form = true;
        self.handler = self.handler.post(handler);
        self
    }
}
