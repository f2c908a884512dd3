//! One route: what the router serves, what `/openapi.json` says and what the access tests try, in one value.

use axum::{
    handler::Handler,
    routing::{MethodFilter, MethodRouter, any, on},
};
use http::Method;
use meshkeep_core::access::Action;

use crate::state::WebState;

/// Which right a caller needs. `control` decides; this states it for the document, and a test compares the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: anybody who can connect.
    Nothing,
    /// Any good credential.
    Credential,
    /// A participant token of the path's room.
    Token,
    /// A credential of the path's project that may do this.
    May(Action),
}

/// What is known of a route besides its handler.
#[derive(Clone, Copy, Debug)]
pub struct RouteInfo {
    /// The method.
    pub method: &'static str,
    /// The path, parameters in braces.
    pub path: &'static str,
    /// One line for people.
    pub summary: &'static str,
    /// The right it needs.
    pub needs: Needs,
    /// The schema of its request body, when it takes one.
    pub takes: Option<&'static str>,
    /// Status of success.
    pub status: u16,
    /// The schema of its answer: a name of the document's schemas, or a media type for text.
    pub answers: Option<&'static str>,
    /// Query parameters.
    pub query: &'static [&'static str],
    /// False for what the contract knows and this server refuses by name.
    pub offered: bool,
}

/// A route with its handler.
pub(crate) struct Route {
    pub(crate) info: RouteInfo,
    pub(crate) handler: MethodRouter<WebState>,
}

impl Route {
    fn new<H, T>(method: &Method, path: &'static str, handler: H) -> Self
    where
        H: Handler<T, WebState>,
        T: 'static,
    {
        let (method, filter) = match *method {
            Method::GET => ("GET", MethodFilter::GET),
            Method::POST => ("POST", MethodFilter::POST),
            Method::PUT => ("PUT", MethodFilter::PUT),
            Method::PATCH => ("PATCH", MethodFilter::PATCH),
            _ => ("DELETE", MethodFilter::DELETE),
        };
        let info = RouteInfo {
            method,
            path,
            summary: "",
            needs: Needs::Nothing,
            takes: None,
            status: 200,
            answers: None,
            query: &[],
            offered: true,
        };
        Self { info, handler: on(filter, handler) }
    }

    /// Whatever the method; it is listed as GET.
    pub(crate) fn any<H: Handler<T, WebState>, T: 'static>(path: &'static str, handler: H) -> Self {
        let mut route = Self::new(&Method::GET, path, handler.clone());
        route.handler = any(handler);
        route
    }

    pub(crate) fn get<H: Handler<T, WebState>, T: 'static>(path: &'static str, handler: H) -> Self {
        Self::new(&Method::GET, path, handler)
    }

    pub(crate) fn post<H: Handler<T, WebState>, T: 'static>(path: &'static str, handler: H) -> Self {
        Self::new(&Method::POST, path, handler)
    }

    pub(crate) fn put<H: Handler<T, WebState>, T: 'static>(path: &'static str, handler: H) -> Self {
        Self::new(&Method::PUT, path, handler)
    }

    pub(crate) fn patch<H: Handler<T, WebState>, T: 'static>(path: &'static str, handler: H) -> Self {
        Self::new(&Method::PATCH, path, handler)
    }

    pub(crate) fn delete<H: Handler<T, WebState>, T: 'static>(path: &'static str, handler: H) -> Self {
        Self::new(&Method::DELETE, path, handler)
    }

    /// One line for people.
    pub(crate) fn summary(mut self, summary: &'static str) -> Self {
        self.info.summary = summary;
        self
    }

    /// The right it needs within the path's project.
    pub(crate) fn needs(mut self, action: Action) -> Self {
        self.info.needs = Needs::May(action);
        self
    }

    /// Any good credential will do.
    pub(crate) fn needs_credential(mut self) -> Self {
        self.info.needs = Needs::Credential;
        self
    }

    /// A participant token of the path's room.
    pub(crate) fn needs_token(mut self) -> Self {
        self.info.needs = Needs::Token;
        self
    }

    /// It takes a body of this schema.
    pub(crate) fn takes(mut self, schema: &'static str) -> Self {
        self.info.takes = Some(schema);
        self
    }

    /// Status and schema of success.
    pub(crate) fn answers(mut self, status: u16, schema: &'static str) -> Self {
        self.info.status = status;
        self.info.answers = Some(schema);
        self
    }

    /// Success without a body.
    pub(crate) fn answers_nothing(mut self) -> Self {
        self.info.status = 204;
        self
    }

    /// Success is another protocol.
    pub(crate) fn upgrades(mut self) -> Self {
        self.info.status = 101;
        self
    }

    /// Query parameters it reads.
    pub(crate) fn query(mut self, names: &'static [&'static str]) -> Self {
        self.info.query = names;
        self
    }

    /// It refuses, saying so.
    pub(crate) fn later(mut self) -> Self {
        self.info.offered = false;
        self.info.status = 400;
        self
    }
}
