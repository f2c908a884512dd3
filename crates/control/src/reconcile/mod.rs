//! Keeps workloads as their sessions want them: one driver each, woken by what the engine sees and by commands.
//!
//! What must stay true: everything that must survive is in the store before it is acted on; a server that was killed
//! at any point goes on from what the store and the engine say. A value is opened only for a start that happens.

mod calls;
mod collect;
mod context;
mod deliver;
mod driver;
mod drivers;
mod event;
mod fetched;
mod launch;
mod live;
mod observer;
mod outcome;
mod platform;
mod pull;
mod recipe;
mod resume;
mod tokens;

pub(crate) use collect::collect;
pub(crate) use context::Context;
pub(crate) use driver::{GRACE, Relaunch};
pub(crate) use drivers::{Drivers, ending};
pub(crate) use fetched::{Fetched, Opened, Openings};
pub(crate) use launch::Launch;
pub(crate) use live::{Live, LiveWorkload};
pub(crate) use observer::Observer;
pub(crate) use platform::{number, told, unlaunched};
pub(crate) use pull::{Pull, chosen};
pub(crate) use recipe::Recipe;
pub(crate) use resume::resume;
