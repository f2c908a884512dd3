//! The room's websocket: frames to messages, messages to operations of a participant, answers back.
//!
//! What must stay true: every request is answered, also the unknown ones and those that are under way when the
//! connection ends, for clients wait without a limit; the packets of one message follow each other; a request that takes
//! long holds up no other one.

mod call;
mod out;
mod socket;
mod tools;

use crate::route::Route;

/// Twice: a client that is given a base URL with a closing slash doubles it.
pub(crate) fn routes() -> Vec<Route> {
    ["/rooms/{room}", "//rooms/{room}"]
        .into_iter()
        .map(|path| {
            Route::get(path, socket::connect)
                .summary("The room's websocket, for participant tokens")
                .needs_token()
                .query(&["token", "v"])
                .upgrades()
        })
        .collect()
}
