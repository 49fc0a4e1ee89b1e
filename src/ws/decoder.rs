//! Owns the decoding of client frames (RFC 6455, masked) into messages: sizes, fragments, UTF-8,
//! close codes; no I/O.

mod header;
#[cfg(test)]
mod tests;

use std::{fmt, mem, ops::ControlFlow};

use actix_web_actors::ws::{CloseCode, CloseReason, Message};
use bytes::Bytes;
use bytestring::ByteString;
use simdutf8::basic::from_utf8;

use self::header::{FrameHeader, MAX_HEADER_BYTES, Opcode};
use crate::protocol::Cause;

/// Why the decoder refuses bytes. The connection ends, because the framing is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DecodeError {
    /// A data message over the limit, by the lengths in its headers (S4).
    TooBig,
    /// A text message or a close reason that is not UTF-8 (RFC 6455 section 8.1).
    InvalidUtf8,
    /// Any other breach of RFC 6455; the value names it.
    Protocol(&'static str),
}

impl DecodeError {
    pub(crate) fn cause(&self) -> Cause {
        match self {
            Self::TooBig => Cause::MessageTooBig,
            Self::InvalidUtf8 => Cause::InvalidUtf8,
            Self::Protocol(_) => Cause::ProtocolError,
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooBig => f.write_str("a message over MAX_MESSAGE_BYTES"),
            Self::InvalidUtf8 => f.write_str("text that is not UTF-8"),
            Self::Protocol(why) => write!(f, "not RFC 6455: {why}"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// One connection's decoder: two words, and no heap memory between frames, because most connections
/// are idle.
#[derive(Debug)]
pub(crate) struct Decoder {
    max_message_bytes: usize,
    /// Invariant: `Some` only inside a header, a payload or a fragmented message.
    pending: Option<Box<Pending>>,
}

/// The received part of a frame or message. Payloads are stored unmasked.
#[derive(Debug, Default)]
struct Pending {
    header: [u8; MAX_HEADER_BYTES],
    header_bytes: usize,
    /// A frame with an incomplete payload, and how many bytes of it have arrived.
    frame: Option<(FrameHeader, usize)>,
    control: Vec<u8>,
    message: Vec<u8>,
    /// How many bytes of `message` are known to be whole UTF-8 characters. Only used for text.
    valid: usize,
    /// The opcode of the open fragmented message.
    fragmented: Option<Opcode>,
}

impl Decoder {
    /// `max_message_bytes` bounds a data message, the sum of its fragments; control frames are
    /// bounded at 125 bytes.
    pub(crate) fn new(max_message_bytes: usize) -> Self {
        Self { max_message_bytes, pending: None }
    }

    /// Changes the bound for messages whose header has not been read yet.
    pub(crate) fn set_max_message_bytes(&mut self, max_message_bytes: usize) {
        self.max_message_bytes = max_message_bytes;
    }

    /// Decodes the bytes of one read, in linear time, and keeps the rest of an incomplete frame.
    /// Unmasks `input` in place. Each frame gives one message with the length of its own payload,
    /// so that the caller can count frames and bytes; a fragment that does not end its message
    /// gives `Nop`. `out` stops the decoding with `Break`, which it should return for a close
    /// frame. Returns the consumed bytes: all of them, or after a `Break` those up to the end of
    /// that frame.
    ///
    /// # Errors
    /// Fails at the first breach; frames before it have been delivered. Frees the buffers; the
    /// decoder must not be fed again.
    pub(crate) fn feed(
        &mut self,
        input: &mut [u8],
        out: &mut impl FnMut(Message, usize) -> ControlFlow<()>,
    ) -> Result<usize, DecodeError> {
        let mut at = 0;
        while let Some(rest) = input.get_mut(at..).filter(|rest| !rest.is_empty()) {
            let (consumed, message) = self.step(rest).inspect_err(|_| self.pending = None)?;
            at += consumed;
            if message.is_some_and(|(message, payload_bytes)| out(message, payload_bytes).is_break()) {
                break;
            }
        }
        Ok(at)
    }

    /// Heap bytes in use: 0 between messages, at most `max_message_bytes` plus a constant.
    #[cfg(test)]
    fn buffered_bytes(&self) -> usize {
        self.pending.as_ref().map_or(0, |p| mem::size_of::<Pending>() + p.control.capacity() + p.message.capacity())
    }

    /// Decodes up to the end of one frame or of the input, whichever comes first.
    fn step(&mut self, input: &mut [u8]) -> Result<(usize, Option<(Message, usize)>), DecodeError> {
        let (header, received, payload_at) = match self.pending.as_mut().and_then(|p| p.frame.take()) {
            Some((header, received)) => (header, received, 0),
            None => match self.header(input)? {
                Some((header, payload_at)) => (header, 0, payload_at),
                None => return Ok((input.len(), None)),
            },
        };
        let payload = input.get_mut(payload_at..).unwrap_or_default();
        let taken = payload.len().min(header.payload_bytes - received);
        let payload = payload.get_mut(..taken).unwrap_or_default();
        unmask(payload, header.mask, received);

        let message = if taken == header.payload_bytes && header.fin && header.opcode != Opcode::Continuation {
            Some(message(header.opcode, payload)?)
        } else {
            let pending = self.pending.get_or_insert_default();
            pending.absorb(header, received, payload, self.max_message_bytes)?
        };
        if self.pending.as_ref().is_some_and(|p| p.frame.is_none() && p.fragmented.is_none()) {
            self.pending = None;
        }
        Ok((payload_at + taken, message.map(|message| (message, header.payload_bytes))))
    }

    /// Returns the next header and where its payload begins in `input`. `None`: the header is
    /// incomplete, and all of `input` is kept.
    fn header(&mut self, input: &[u8]) -> Result<Option<(FrameHeader, usize)>, DecodeError> {
        let (in_message, room, kept) = match &self.pending {
            Some(p) => (p.fragmented.is_some(), self.max_message_bytes.saturating_sub(p.message.len()), p.header_bytes),
            None => (false, self.max_message_bytes, 0),
        };
        if kept == 0
            && let Some(found) = header::parse(input, in_message, room)?
        {
            return Ok(Some(found));
        }
        let pending = self.pending.get_or_insert_default();
        let free = pending.header.get_mut(kept..).unwrap_or_default();
        let added = free.len().min(input.len());
        free.iter_mut().zip(input).for_each(|(to, from)| *to = *from);
        pending.header_bytes += added;
        let bytes = pending.header.get(..pending.header_bytes).unwrap_or_default();
        let Some((header, length)) = header::parse(bytes, in_message, room)? else { return Ok(None) };
        pending.header_bytes = 0;
        Ok(Some((header, length - kept)))
    }
}

impl Pending {
    /// Appends `payload`, the next part of a frame of which `received` bytes came before. Returns
    /// the frame's message if this completes it.
    fn absorb(
        &mut self,
        header: FrameHeader,
        received: usize,
        payload: &[u8],
        max_message_bytes: usize,
    ) -> Result<Option<Message>, DecodeError> {
        let (buffer, limit) = match (header.opcode.is_control(), header.fin) {
            (true, _) => (&mut self.control, header.payload_bytes),
            (false, true) => {
                let limit = self.message.len() - received + header.payload_bytes;
                (&mut self.message, limit)
            }
            // Not the frame's own length: growing by one fragment at a time would be quadratic for
            // tiny fragments.
            (false, false) => (&mut self.message, max_message_bytes),
        };
        append(buffer, payload, limit);
        if !header.opcode.is_control() && self.fragmented.unwrap_or(header.opcode) == Opcode::Text {
            self.valid += valid_start(self.message.get(self.valid..).unwrap_or_default())?;
        }

        let received = received + payload.len();
        if received < header.payload_bytes {
            self.frame = Some((header, received));
            return Ok(None);
        }
        if header.opcode.is_control() {
            return message(header.opcode, &mem::take(&mut self.control)).map(Some);
        }
        if !header.fin {
            self.fragmented.get_or_insert(header.opcode);
            return Ok(Some(Message::Nop));
        }
        let opcode = self.fragmented.take().unwrap_or(header.opcode);
        self.valid = 0;
        message(opcode, &mem::take(&mut self.message)).map(Some)
    }
}

/// Appends, doubling the capacity up to `limit`. A declared length by itself allocates nothing.
fn append(buffer: &mut Vec<u8>, bytes: &[u8], limit: usize) {
    let length = buffer.len() + bytes.len();
    if length > buffer.capacity() {
        let capacity = (buffer.capacity() * 2).min(limit).max(length);
        buffer.reserve_exact(capacity - buffer.len());
    }
    buffer.extend_from_slice(bytes);
}

/// Makes a message from its whole unmasked payload. It copies the payload, at its exact size,
/// because the message outlives the shared buffer.
fn message(opcode: Opcode, payload: &[u8]) -> Result<Message, DecodeError> {
    Ok(match opcode {
        Opcode::Text => Message::Text(ByteString::from(utf8(payload)?)),
        Opcode::Binary => Message::Binary(Bytes::copy_from_slice(payload)),
        Opcode::Ping => Message::Ping(Bytes::copy_from_slice(payload)),
        Opcode::Pong => Message::Pong(Bytes::copy_from_slice(payload)),
        Opcode::Close => Message::Close(close_reason(payload)?),
        Opcode::Continuation => Message::Nop,
    })
}

fn utf8(bytes: &[u8]) -> Result<&str, DecodeError> {
    from_utf8(bytes).map_err(|_| DecodeError::InvalidUtf8)
}

/// Length of the whole characters in `bytes`, which may end inside a character. Invalid bytes are
/// refused as soon as they arrive, not when their message ends: it may never end.
fn valid_start(bytes: &[u8]) -> Result<usize, DecodeError> {
    match simdutf8::compat::from_utf8(bytes) {
        Ok(_) => Ok(bytes.len()),
        Err(error) if error.error_len().is_none() => Ok(error.valid_up_to()),
        Err(_) => Err(DecodeError::InvalidUtf8),
    }
}

/// RFC 6455 sections 5.5.1 and 7.4: the payload is empty, or a code that may be sent and a reason.
fn close_reason(payload: &[u8]) -> Result<Option<CloseReason>, DecodeError> {
    if payload.is_empty() {
        return Ok(None);
    }
    let Some((code, reason)) = payload.split_first_chunk() else {
        return Err(DecodeError::Protocol("a close frame of one byte"));
    };
    let code = u16::from_be_bytes(*code);
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(DecodeError::Protocol("a close code that must not be sent"));
    }
    let reason = utf8(reason)?;
    let description = (!reason.is_empty()).then(|| reason.to_owned());
    Ok(Some(CloseReason { code: CloseCode::from(code), description }))
}

/// RFC 6455 section 5.3, eight bytes at a time. `offset` is the position of `bytes` in their frame.
fn unmask(bytes: &mut [u8], mut mask: [u8; 4], offset: usize) {
    mask.rotate_left(offset % 4);
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (chunks, tail) = bytes.as_chunks_mut::<8>();
    for chunk in chunks {
        *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in tail.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}
