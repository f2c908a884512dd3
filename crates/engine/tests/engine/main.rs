//! The embedded engine on this machine's kernel, as root. Networks are made in namespaces of the tests' own.

mod net;
mod net_leftovers;
mod netns;
