//! Owns the rules of a client frame's header (RFC 6455 sections 5.2 to 5.5). Each applies as soon
//! as its byte has arrived.

use super::DecodeError::{self, Protocol, TooBig};
use crate::ws::frame::MAX_CONTROL_BYTES;

/// Two bytes, an eight-byte length and the mask.
pub(super) const MAX_HEADER_BYTES: usize = 14;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    pub(super) fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct FrameHeader {
    pub(super) fin: bool,
    pub(super) opcode: Opcode,
    pub(super) payload_bytes: usize,
    pub(super) mask: [u8; 4],
}

/// Parses the header at the start of `bytes`. Returns it with its own length; `None` if more bytes
/// are needed. `in_message`: a fragmented message is open. `room`: bytes by which the message may
/// grow.
///
/// # Errors
/// Returns each breach that the header alone shows, including `TooBig` (S4), before any payload is
/// kept.
pub(super) fn parse(bytes: &[u8], in_message: bool, room: usize) -> Result<Option<(FrameHeader, usize)>, DecodeError> {
    let Some(&first) = bytes.first() else { return Ok(None) };
    if first & 0x70 != 0 {
        return Err(Protocol("a reserved bit is set"));
    }
    let fin = first & 0x80 != 0;
    let opcode = match first & 0x0f {
        0 if !in_message => return Err(Protocol("a continuation without a start")),
        1 | 2 if in_message => return Err(Protocol("a new message inside a fragmented one")),
        8..=10 if !fin => return Err(Protocol("a fragmented control frame")),
        0 => Opcode::Continuation,
        1 => Opcode::Text,
        2 => Opcode::Binary,
        8 => Opcode::Close,
        9 => Opcode::Ping,
        10 => Opcode::Pong,
        _ => return Err(Protocol("an unknown opcode")),
    };
    let Some(&second) = bytes.get(1) else { return Ok(None) };
    if second & 0x80 == 0 {
        return Err(Protocol("an unmasked frame"));
    }
    let short = u64::from(second & 0x7f);
    if opcode.is_control() && short > MAX_CONTROL_BYTES as u64 {
        return Err(Protocol("a control frame over 125 bytes"));
    }
    let after = bytes.get(2..).unwrap_or_default();
    let (length, after, length_bytes) = match short {
        126 => {
            let Some((length, after)) = after.split_first_chunk() else { return Ok(None) };
            (u64::from(u16::from_be_bytes(*length)), after, 2)
        }
        127 => {
            let Some((length, after)) = after.split_first_chunk() else { return Ok(None) };
            (u64::from_be_bytes(*length), after, 8)
        }
        length => (length, after, 0),
    };
    match length_bytes {
        2 if length < 126 => return Err(Protocol("a length in more bytes than it needs")),
        8 if length <= 0xffff => return Err(Protocol("a length in more bytes than it needs")),
        8 if length >> 63 != 0 => return Err(Protocol("a length with its top bit set")),
        _ => {}
    }
    if !opcode.is_control() && length > room as u64 {
        return Err(TooBig);
    }
    let Some(mask) = after.first_chunk() else { return Ok(None) };
    // No truncation: a control frame is at most 125 bytes and a data frame at most `room`, a usize.
    let header = FrameHeader { fin, opcode, payload_bytes: length as usize, mask: *mask };
    Ok(Some((header, 2 + length_bytes + mask.len())))
}
