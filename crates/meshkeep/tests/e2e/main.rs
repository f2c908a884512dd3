//! The main job from end to end, on real parts: the built program, a registry that asks for a password, containers on
//! this host, a database file. Each test has its own of all of these and leaves nothing behind. As root.

mod backup;
mod canary;
mod canary_cores;
mod canary_private;
mod canary_search;
mod clock;
mod compat;
mod crashes;
mod crosstalk;
mod disk;
mod doctor;
mod elsewhere;
mod faults;
mod first_service;
mod image;
mod image_words;
mod keys;
mod leftovers;
mod logs;
mod loops;
mod own_address;
mod participant;
mod power;
mod process;
mod published;
mod refusals;
mod registry;
mod rolling;
mod rooms;
mod rooms_load;
mod server;
mod soak;
mod studio;
mod survival;
mod upgrade;
