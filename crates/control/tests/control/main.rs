//! The operations over a real database file and a registry on loopback that asks for a password; the engine alone is
//! one in memory.

mod access;
mod adoption;
mod audit;
mod crowd;
mod keep;
mod kill;
mod launch;
mod life;
mod logs;
mod pull_secrets;
mod registry;
mod rolling;
mod rolling_meanwhile;
mod rooms;
mod search;
mod tokens;
mod try_pull;
mod versions;
mod world;
