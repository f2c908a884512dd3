//! Packets of the room protocol: how a message travels in websocket frames.
//!
//! A message is a header packet and as many data packets as it announces, big-endian, each one binary frame:
//! `id: u64 | 0: u32 | count: u32 | type` and `id: u64 | number from 1: u32 | at most 1024 bytes`. The packets of one
//! message follow each other; nothing else stands between them.

use zeroize::Zeroizing;

/// Bytes of data in one packet at most.
pub const PACKET_DATA: usize = 1024;
/// Bytes of one message's data at most.
pub const MAX_MESSAGE: usize = 4 << 20;
/// Bytes of a message's type at most.
pub const MAX_TYPE: usize = 256;
/// Bytes of one frame at most.
pub const MAX_FRAME: usize = 16 + PACKET_DATA;

/// A message: whose number is the sender's own, and a reply's that of its request.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its number.
    pub id: u64,
    /// What it is.
    pub kind: String,
    /// What it carries; may be a secret's value, and is wiped when dropped.
    pub data: Zeroizing<Vec<u8>>,
}

/// Why a packet cannot be what comes next. The other side cannot be understood any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPacket {
    /// Shorter than its fixed part, or with more data than a packet holds.
    #[error("a packet has an impossible length")]
    Length,
    /// Another number than the next one.
    #[error("a packet came out of its order")]
    Order,
    /// Of another message than the one that is under way.
    #[error("a packet of another message came in between")]
    Message,
    /// More than a message may hold.
    #[error("a message is larger than {MAX_MESSAGE} bytes")]
    TooLarge,
    /// Not UTF-8, or too long.
    #[error("a message's type is no short text")]
    Kind,
}

/// Puts messages together from packets.
#[derive(Debug, Default)]
pub struct Assembler(Option<Partial>);

#[derive(Debug)]
struct Partial {
    message: Message,
    count: u32,
    next: u32,
}

impl Assembler {
    /// Takes the next packet; the message that it completes.
    ///
    /// # Errors
    /// See [`BadPacket`].
    pub fn push(&mut self, packet: &[u8]) -> Result<Option<Message>, BadPacket> {
        let (id, rest) = packet.split_first_chunk::<8>().ok_or(BadPacket::Length)?;
        let (number, body) = rest.split_first_chunk::<4>().ok_or(BadPacket::Length)?;
        let (id, number) = (u64::from_be_bytes(*id), u32::from_be_bytes(*number));
        let mut partial = match self.0.take() {
            None if number == 0 => begin(id, body)?,
            None => return Err(BadPacket::Order),
            Some(partial) if partial.message.id != id => return Err(BadPacket::Message),
            Some(partial) if partial.next != number => return Err(BadPacket::Order),
            Some(mut partial) => {
                if body.len() > PACKET_DATA {
                    return Err(BadPacket::Length);
                }
                partial.message.data.extend_from_slice(body);
                partial
            }
        };
        if partial.next == partial.count {
            return Ok(Some(partial.message));
        }
        partial.next += 1;
        self.0 = Some(partial);
        Ok(None)
    }
}

fn begin(id: u64, body: &[u8]) -> Result<Partial, BadPacket> {
    let (count, kind) = body.split_first_chunk::<4>().ok_or(BadPacket::Length)?;
    let count = u32::from_be_bytes(*count);
    let size = usize::try_from(count).ok().and_then(|count| count.checked_mul(PACKET_DATA));
    let size = size.filter(|size| *size <= MAX_MESSAGE).ok_or(BadPacket::TooLarge)?;
    let kind = str::from_utf8(kind).ok().filter(|kind| kind.len() <= MAX_TYPE).ok_or(BadPacket::Kind)?;
    // All of it at once: growing would leave copies behind that are not wiped.
    let message = Message { id, kind: kind.to_owned(), data: Zeroizing::new(Vec::with_capacity(size)) };
    Ok(Partial { message, count, next: 0 })
}

/// The packets of a message, in their order.
pub fn packets(id: u64, kind: &str, data: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let count = u32::try_from(data.len().div_ceil(PACKET_DATA)).unwrap_or(u32::MAX);
    let id = id.to_be_bytes();
    let head = [&id[..], &[0; 4], &count.to_be_bytes(), kind.as_bytes()].concat();
    let data = data.chunks(PACKET_DATA).zip(1_u32..);
    std::iter::once(head).chain(data.map(move |(chunk, number)| [&id[..], &number.to_be_bytes(), chunk].concat()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_message_without_data_is_one_packet() {
        let all: Vec<_> = packets(7, "room_ready", b"").collect();
        assert_eq!(all, [b"\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0\0room_ready".to_vec()]);
        let message = Assembler::default().push(&all[0]).unwrap().unwrap();
        assert_eq!((message.id, message.kind.as_str(), message.data.len()), (7, "room_ready", 0));
    }

    #[test]
    fn what_cannot_come_next_is_refused() {
        let two: Vec<_> = packets(1, "a", &[9; 1500]).collect();
        let push = |packets: &[&[u8]]| {
            let mut assembler = Assembler::default();
            packets.iter().map(|packet| assembler.push(packet)).collect::<Result<Vec<_>, _>>().map(drop).unwrap_err()
        };
        assert_eq!(push(&[b"short"]), BadPacket::Length);
        assert_eq!(push(&[&two[1]]), BadPacket::Order);
        assert_eq!(push(&[&two[0], &two[0]]), BadPacket::Order);
        assert_eq!(push(&[&two[0], &two[2]]), BadPacket::Order);
        let other: Vec<_> = packets(2, "a", &[9; 1500]).collect();
        assert_eq!(push(&[&two[0], &other[1]]), BadPacket::Message);
        let long = [&two[1][..], &[0; 1]].concat();
        assert_eq!(push(&[&two[0], &long]), BadPacket::Length);
        let huge = [&1_u64.to_be_bytes()[..], &[0; 4], &u32::MAX.to_be_bytes(), b"a"].concat();
        assert_eq!(push(&[&huge]), BadPacket::TooLarge);
        let bad = [&1_u64.to_be_bytes()[..], &[0; 8], b"\xff"].concat();
        assert_eq!(push(&[&bad]), BadPacket::Kind);
    }

    proptest! {
        #[test]
        fn messages_come_out_as_they_went_in(
            messages in proptest::collection::vec((any::<u64>(), "[a-z_.]{0,20}", proptest::collection::vec(any::<u8>(), 0..5000)), 1..4)
        ) {
            let mut assembler = Assembler::default();
            for (id, kind, data) in &messages {
                let all: Vec<_> = packets(*id, kind, data).collect();
                prop_assert!(all.iter().all(|packet| packet.len() <= MAX_FRAME));
                let mut seen = None;
                for packet in &all {
                    prop_assert!(seen.is_none(), "complete before its last packet");
                    seen = assembler.push(packet).unwrap();
                }
                let seen = seen.expect("complete with its last packet");
                prop_assert_eq!((seen.id, seen.kind.as_str(), seen.data.as_slice()), (*id, kind.as_str(), data.as_slice()));
            }
        }
    }
}
