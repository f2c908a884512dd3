//! Making a link usable now.
//!
//! What follows from a link's carrier (a bridge's port forwards, a queue takes packets) happens in the kernel's own
//! time, up to a second later; a service that connects at once would lose its first packet, and TCP waits a second
//! before it sends another. Whoever asks for the state of the link waits for all of that.

use std::{io, os::fd::AsFd, ptr};

use rustix::ioctl::{Opcode, Updater};

const SIOCETHTOOL: Opcode = 0x8946;
const ETHTOOL_GLINK: u32 = 10;

/// `struct ethtool_value`.
#[repr(C)]
struct Query {
    command: u32,
    answer: u32,
}

/// `struct ifreq`: a name, and a union of 24 bytes (on machines of 64 bits) of which this is the pointer.
#[repr(C)]
struct Request {
    name: [u8; 16],
    query: *mut Query,
    rest: [u64; 2],
}

/// Returns when all that follows from the link's carrier is done.
#[expect(unsafe_code, reason = "neither rustix nor netlink-sys has this call")]
pub(super) fn settle(socket: impl AsFd, link: &str) -> io::Result<()> {
    let mut name = [0; 16];
    name.get_mut(..link.len())
        .filter(|_| link.len() < 16)
        .ok_or(io::ErrorKind::InvalidInput)?
        .copy_from_slice(link.as_bytes());
    let mut query = Query { command: ETHTOOL_GLINK, answer: 0 };
    let mut request = Request { name, query: ptr::from_mut(&mut query), rest: [0; 2] };
    // SAFETY: this call takes a `struct ifreq`, whose layout `Request` has, with a terminated name; for this command it
    // reads and writes the two members of `query`, which outlives the call.
    unsafe { rustix::ioctl::ioctl(socket, Updater::<SIOCETHTOOL, Request>::new(&mut request)) }?;
    Ok(())
}
