//! Requests to the kernel over a netlink socket, several in one system call.

use std::io;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkBuffer, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use rustix::net::netdevice::name_to_index;

use super::carrier;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;

/// One request and its flags, besides those that every request has.
pub(super) struct Request {
    pub message: RouteNetlinkMessage,
    pub flags: u16,
}

/// A netlink socket in the network namespace that the calling thread was in when it was opened.
pub(super) struct Netlink {
    socket: Socket,
    sequence: u32,
}

impl Netlink {
    /// For links, addresses and routes.
    pub fn route() -> io::Result<Self> {
        Self::open(NETLINK_ROUTE)
    }

    /// For another family of the kernel's.
    pub fn open(protocol: isize) -> io::Result<Self> {
        let socket = Socket::new(protocol)?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self { socket, sequence: 0 })
    }

    /// The index of the link of this name, when there is one.
    pub fn index(&self, name: &str) -> io::Result<Option<u32>> {
        // The call works on any socket and looks into that socket's namespace.
        match name_to_index(&self.socket, name) {
            Ok(index) => Ok(Some(index)),
            Err(rustix::io::Errno::NODEV) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns when the link is as usable as it gets.
    pub fn settle(&self, name: &str) -> io::Result<()> {
        carrier::settle(&self.socket, name)
    }

    /// Sends all requests at once and returns when all are carried out. The first that is refused is the answer; the
    /// kernel goes on with those behind it all the same.
    pub fn run(&mut self, requests: impl IntoIterator<Item = Request>) -> io::Result<()> {
        let mut bytes = Vec::new();
        let mut requests = requests.into_iter().peekable();
        while let Some(Request { message, flags }) = requests.next() {
            // Refusals come back anyway; one answer at the end says that there was none.
            let ack = if requests.peek().is_none() { NLM_F_ACK } else { 0 };
            self.append(&mut bytes, message, flags | ack);
        }
        self.socket.send(&bytes, 0)?;
        let last = self.sequence;
        let mut refused = None;
        loop {
            let (answer, _) = self.socket.recv_from_full()?;
            for message in Messages(&answer) {
                let message = message?;
                if message.kind == NLMSG_ERROR {
                    if let Some(error) = message.error()? {
                        refused.get_or_insert(error);
                    }
                    if message.sequence == last {
                        return refused.map_or(Ok(()), Err);
                    }
                }
            }
        }
    }

    /// Asks for all objects of one kind and gives the body of each to `each`.
    pub fn dump(
        &mut self,
        request: RouteNetlinkMessage,
        mut each: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut bytes = Vec::new();
        self.append(&mut bytes, request, NLM_F_DUMP);
        self.socket.send(&bytes, 0)?;
        loop {
            let (answer, _) = self.socket.recv_from_full()?;
            for message in Messages(&answer) {
                let message = message?;
                match message.kind {
                    NLMSG_DONE => return Ok(()),
                    NLMSG_ERROR => return message.error()?.map_or(Ok(()), Err),
                    _ => each(message.body)?,
                }
            }
        }
    }

    /// Sends one request that is already bytes behind its header, and says whether it was carried out.
    pub fn ask(&mut self, kind: u16, body: &[u8]) -> io::Result<()> {
        self.sequence += 1;
        let length = u32::try_from(16 + body.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let mut bytes = Vec::with_capacity(16 + body.len());
        bytes.extend_from_slice(&length.to_ne_bytes());
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&(NLM_F_REQUEST | NLM_F_ACK).to_ne_bytes());
        bytes.extend_from_slice(&self.sequence.to_ne_bytes());
        bytes.extend_from_slice(&0_u32.to_ne_bytes());
        bytes.extend_from_slice(body);
        self.socket.send(&bytes, 0)?;
        loop {
            let (answer, _) = self.socket.recv_from_full()?;
            for message in Messages(&answer) {
                let message = message?;
                if message.kind == NLMSG_ERROR {
                    return message.error()?.map_or(Ok(()), Err);
                }
            }
        }
    }

    fn append(&mut self, bytes: &mut Vec<u8>, message: RouteNetlinkMessage, flags: u16) {
        self.sequence += 1;
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
        message.finalize();
        let start = bytes.len();
        bytes.resize(start + message.buffer_len().next_multiple_of(4), 0);
        let length = message.buffer_len();
        message.serialize(&mut bytes[start..start + length]);
    }
}

struct Message<'a> {
    kind: u16,
    sequence: u32,
    body: &'a [u8],
}

impl Message<'_> {
    /// What an answer of the kind "error" says; `None` when the request was carried out.
    fn error(&self) -> io::Result<Option<io::Error>> {
        let code = self.body.first_chunk::<4>().ok_or_else(malformed)?;
        let code = i32::from_ne_bytes(*code);
        Ok((code != 0).then(|| io::Error::from_raw_os_error(code.saturating_neg())))
    }
}

/// The messages of one datagram.
struct Messages<'a>(&'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = io::Result<Message<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let Ok(buffer) = NetlinkBuffer::new_checked(self.0) else {
            self.0 = &[];
            return Some(Err(malformed()));
        };
        let whole = buffer.length() as usize;
        let message =
            Message { kind: buffer.message_type(), sequence: buffer.sequence_number(), body: &self.0[16..whole] };
        self.0 = self.0.get(whole.next_multiple_of(4)..).unwrap_or_default();
        Some(Ok(message))
    }
}

/// An answer that is not netlink.
pub(super) fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the kernel's answer is not understood")
}
