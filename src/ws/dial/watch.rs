//! Owns what the library does not show of an outgoing connection's bytes: whether the peer takes
//! any, and the contents of its close frame.

use std::cell::{Cell, RefCell};

/// Ends the head of an HTTP response.
const END_OF_HEAD: &[u8] = b"\r\n\r\n";
const CLOSE: u8 = 8;
/// The longest payload of a close frame.
const MAX_CLOSE_BYTES: usize = 125;

/// Observes one connection. Shared by its transport and its link.
#[derive(Default)]
pub(super) struct Watch {
    written: Cell<u64>,
    place: RefCell<BytePosition>,
    close: RefCell<Option<Vec<u8>>>,
}

/// Which part of the peer's bytes the next one belongs to.
enum BytePosition {
    /// The head of the handshake's response; so many bytes of [`END_OF_HEAD`] have matched.
    Head(usize),
    /// A frame's header; the bytes of it that have arrived.
    Header(Vec<u8>),
    /// A payload: bytes still to come, and whether it is that of a close frame.
    Payload(u64, bool),
    /// After a close frame.
    End,
}

impl Default for BytePosition {
    fn default() -> Self {
        Self::Head(0)
    }
}

impl Watch {
    /// Bytes written to the socket so far. Stops growing when the peer takes nothing and buffers
    /// are full.
    pub(super) fn written(&self) -> u64 {
        self.written.get()
    }

    pub(super) fn wrote(&self, bytes: usize) {
        self.written.set(self.written.get() + bytes as u64);
    }

    /// Code and reason of the peer's close frame, as sent; `None` before it, or if it has no code.
    pub(super) fn close(&self) -> Option<(u16, String)> {
        let close = self.close.borrow();
        let (code, reason) = close.as_ref()?.split_first_chunk::<2>()?;
        Some((u16::from_be_bytes(*code), std::str::from_utf8(reason).ok()?.to_owned()))
    }

    /// Observes the peer's next bytes. Skips each payload as a whole.
    pub(super) fn read(&self, mut bytes: &[u8]) {
        let mut place = self.place.borrow_mut();
        while let Some((&first, rest)) = bytes.split_first() {
            *place = match std::mem::replace(&mut *place, BytePosition::End) {
                BytePosition::End => return,
                BytePosition::Head(known) => {
                    bytes = rest;
                    let known = if first == END_OF_HEAD[known] { known + 1 } else { usize::from(first == b'\r') };
                    if known == END_OF_HEAD.len() {
                        BytePosition::Header(Vec::new())
                    } else {
                        BytePosition::Head(known)
                    }
                }
                BytePosition::Header(mut header) => {
                    bytes = rest;
                    header.push(first);
                    match payload_bytes(&header) {
                        None => BytePosition::Header(header),
                        Some(length) => self.begin(header[0] & 0x0f == CLOSE, length),
                    }
                }
                BytePosition::Payload(left, is_close) => {
                    let taken = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    if is_close {
                        let mut close = self.close.borrow_mut();
                        close.get_or_insert_default().extend_from_slice(&bytes[..taken]);
                    }
                    bytes = &bytes[taken..];
                    match left - taken as u64 {
                        0 if is_close => BytePosition::End,
                        0 => BytePosition::Header(Vec::new()),
                        left => BytePosition::Payload(left, is_close),
                    }
                }
            };
        }
    }

    fn begin(&self, is_close: bool, length: u64) -> BytePosition {
        match length {
            0 if is_close => BytePosition::End,
            0 => BytePosition::Header(Vec::new()),
            // The library ends the connection at a longer close frame.
            length => BytePosition::Payload(length, is_close && length <= MAX_CLOSE_BYTES as u64),
        }
    }
}

/// Returns the payload's length if the header is complete. A mask, which a server must not send,
/// counts to the header.
fn payload_bytes(header: &[u8]) -> Option<u64> {
    let second = *header.get(1)?;
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    let (extended, length) = match second & 0x7f {
        126 => (2, u64::from(u16::from_be_bytes(header.get(2..4)?.try_into().ok()?))),
        127 => (8, u64::from_be_bytes(header.get(2..10)?.try_into().ok()?)),
        length => (0, u64::from(length)),
    };
    (header.len() >= 2 + extended + mask).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_frame_is_found_behind_whatever_comes_before_however_the_bytes_are_cut() {
        let mut bytes = b"HTTP/1.1 101 X\r\nA: \r\r\n\r\n".to_vec();
        bytes.extend_from_slice(&[0x81, 2, 0x88, 0x88]);
        bytes.extend_from_slice(&[0x82, 126, 0x01, 0x00]);
        bytes.extend_from_slice(&[0x88; 256]);
        bytes.extend_from_slice(&[0x82, 127, 0, 0, 0, 0, 0, 0, 0, 1, 0x88, 0x89, 0]);
        bytes.extend_from_slice(&[0x88, 5, 0x03, 0xf6, b'b', b'a', b'd', 0x88, 2, 0x03, 0xe8]);
        for chunk in [1, 2, 3, 7, 1000] {
            let watch = Watch::default();
            bytes.chunks(chunk).for_each(|bytes| watch.read(bytes));
            assert_eq!(watch.close(), Some((1014, "bad".to_owned())), "{chunk}");
        }
        let watch = Watch::default();
        watch.read(b"HTTP/1.1 101 X\r\n\r\n\x88\x00\x88\x02\x03\xe8");
        assert_eq!(watch.close(), None, "a close frame without a code");
    }
}
