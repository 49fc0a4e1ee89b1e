//! Owns the encoding of server frames (RFC 6455 section 5.2): unmasked, never fragmented, one exact
//! allocation each.

use std::{cell::RefCell, rc::Rc};

/// An encoded frame. It never leaves its shard, so a thousand outboxes share one allocation without
/// atomic operations.
pub(crate) type Frame = Rc<[u8]>;

/// The longest payload of a control frame (RFC 6455 section 5.5).
pub(crate) const MAX_CONTROL_BYTES: usize = 125;

/// The memory that a queued frame takes besides its bytes: the allocator's word, the two counts of
/// the `Rc`, and three words in the queue.
const OVERHEAD: usize = 6 * size_of::<usize>();

/// What a queued frame or message of `bytes` counts towards a bound. Without the overhead, frames
/// of a few bytes would take many times the bound.
pub(crate) const fn cost(bytes: usize) -> usize {
    bytes + OVERHEAD
}

/// FIN and the opcode of RFC 6455 section 5.2.
const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

/// Makes a text frame. `write` appends the payload to a scratch buffer; it must be UTF-8, which is
/// not checked here.
pub(crate) fn text(write: impl FnOnce(&mut Vec<u8>)) -> Frame {
    build(TEXT, write)
}

/// Makes a binary frame.
pub(crate) fn binary(payload: &[u8]) -> Frame {
    frame(BINARY, &[payload])
}

/// Returns the payload of a frame that was made here.
pub(crate) fn payload(frame: &Frame) -> &[u8] {
    let length = match frame.get(1) {
        Some(126) => 4,
        Some(127) => 10,
        _ => 2,
    };
    frame.get(length..).unwrap_or_default()
}

/// Makes a ping frame; a payload over 125 bytes is cut.
pub(crate) fn ping(payload: &[u8]) -> Frame {
    frame(PING, &[control(payload)])
}

/// Makes a pong frame; a payload over 125 bytes is cut.
pub(crate) fn pong(payload: &[u8]) -> Frame {
    frame(PONG, &[control(payload)])
}

/// Makes a close frame. The reason is cut at a character boundary so that code and reason fit 125
/// bytes. For codes that must not be sent (1005, 1006, 1015: RFC 6455 section 7.4.1) the payload is
/// empty.
pub(crate) fn close(code: u16, reason: &str) -> Frame {
    if matches!(code, 1005 | 1006 | 1015) {
        return frame(CLOSE, &[]);
    }
    let mut end = reason.len().min(MAX_CONTROL_BYTES - 2);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    frame(CLOSE, &[&code.to_be_bytes(), reason.as_bytes().get(..end).unwrap_or_default()])
}

fn control(payload: &[u8]) -> &[u8] {
    payload.get(..MAX_CONTROL_BYTES).unwrap_or(payload)
}

fn frame(first: u8, parts: &[&[u8]]) -> Frame {
    build(first, |payload| parts.iter().for_each(|part| payload.extend_from_slice(part)))
}

/// The longest header of a server frame.
const MAX_HEADER_BYTES: usize = 10;
/// A scratch buffer that grew past this is freed.
const MAX_KEPT_BYTES: usize = 256 * 1024;

/// Encodes a frame. `write` puts the payload behind room for the longest header, so that header and
/// payload need only one copy.
fn build(first: u8, write: impl FnOnce(&mut Vec<u8>)) -> Frame {
    thread_local! {
        static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.clear();
        scratch.resize(MAX_HEADER_BYTES, 0);
        write(scratch);
        let (header, length) = header(first, scratch.len() - MAX_HEADER_BYTES);
        let begin = MAX_HEADER_BYTES - length;
        scratch[begin..MAX_HEADER_BYTES].copy_from_slice(&header[..length]);
        let frame = Frame::from(&scratch[begin..]);
        if scratch.capacity() > MAX_KEPT_BYTES {
            *scratch = Vec::new();
        }
        frame
    })
}

fn header(first: u8, payload: usize) -> ([u8; MAX_HEADER_BYTES], usize) {
    let mut header = [0; MAX_HEADER_BYTES];
    header[0] = first;
    match payload {
        0..126 => {
            header[1] = payload as u8;
            (header, 2)
        }
        126..65_536 => {
            header[1] = 126;
            header[2..4].copy_from_slice(&(payload as u16).to_be_bytes());
            (header, 4)
        }
        _ => {
            header[1] = 127;
            header[2..].copy_from_slice(&(payload as u64).to_be_bytes());
            (header, 10)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;
    use tungstenite::protocol::frame::{
        Frame as PeerFrame, FrameSocket,
        coding::{Control, Data, OpCode},
    };

    use super::*;

    /// Decodes with an independent codec, which must find exactly one final, unmasked frame.
    fn peer_reads(bytes: &Frame) -> PeerFrame {
        let mut socket = FrameSocket::new(Cursor::new(bytes.to_vec()));
        let frame = socket.read(None).unwrap().unwrap();
        assert!(frame.header().is_final && frame.header().mask.is_none());
        assert!(socket.read(None).unwrap().is_none(), "bytes left over");
        frame
    }

    #[test]
    fn text_of_every_length_class_is_read_back_by_a_peer() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, 200_000] {
            let payload = vec![b'x'; length];
            let frame = peer_reads(&text(|out| out.extend_from_slice(&payload)));
            assert_eq!(frame.header().opcode, OpCode::Data(Data::Text));
            assert_eq!(frame.payload(), payload);
        }
    }

    #[test]
    fn binary_is_read_back_by_a_peer() {
        let payload: Vec<u8> = (0..70_000_u32).map(|i| i as u8).collect();
        let frame = peer_reads(&binary(&payload));
        assert_eq!(frame.header().opcode, OpCode::Data(Data::Binary));
        assert_eq!(frame.payload(), payload);
    }

    #[test]
    fn ping_and_pong_are_cut_to_a_control_payload() {
        let long = [7; 200];
        for (bytes, opcode) in [(ping(&long), Control::Ping), (pong(&long), Control::Pong)] {
            let frame = peer_reads(&bytes);
            assert_eq!(frame.header().opcode, OpCode::Control(opcode));
            assert_eq!(frame.payload(), [7; 125]);
        }
    }

    #[test]
    fn a_close_reason_is_cut_at_a_character_and_the_frame_stays_a_control_frame() {
        let frame = peer_reads(&close(4008, &"é".repeat(100)));
        assert_eq!(frame.header().opcode, OpCode::Control(Control::Close));
        assert_eq!(frame.payload()[..2], 4008_u16.to_be_bytes());
        assert_eq!(std::str::from_utf8(&frame.payload()[2..]).unwrap(), "é".repeat(61));
    }

    #[test]
    fn codes_that_must_not_be_sent_become_an_empty_close() {
        for code in [1005, 1006, 1015] {
            assert_eq!(&close(code, "lost")[..], [0x88, 0]);
        }
    }

    proptest! {
        #[test]
        fn every_frame_is_read_back_by_a_peer(length in 0_usize..70_000, step in any::<u8>()) {
            let payload: Vec<u8> = (0..length).map(|i| (i as u8).wrapping_mul(step)).collect();
            let frame = peer_reads(&text(|out| out.extend_from_slice(&payload)));
            prop_assert_eq!(frame.payload(), &payload[..]);
        }

        #[test]
        fn every_close_is_read_back_by_a_peer(code in 1000_u16..5000, reason in ".{0,200}") {
            let frame = peer_reads(&close(code, &reason));
            prop_assert!(frame.payload().len() <= MAX_CONTROL_BYTES);
            if let Some(sent) = frame.payload().get(2..) {
                prop_assert!(reason.starts_with(std::str::from_utf8(sent).unwrap()));
            }
        }
    }
}
