//! Networks of sessions on this machine's kernel, as root, in network namespaces of the tests' own.

mod entrance;
mod leftovers;
mod netns;
mod reach;
