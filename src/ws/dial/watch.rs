//! Owns what is to be known of an outgoing connection's bytes and the library does not tell:
//! whether the peer takes any, and what its close frame said.

use std::cell::{Cell, RefCell};

/// What stands between the head of an HTTP answer and what follows.
const END_OF_HEAD: &[u8] = b"\r\n\r\n";
const CLOSE: u8 = 8;
/// Of a close frame's payload.
const MAX_CLOSE_BYTES: usize = 125;

/// Shared by a transport and its link.
#[derive(Default)]
pub struct Watch {
    written: Cell<u64>,
    place: RefCell<BytePosition>,
    close: RefCell<Option<Vec<u8>>>,
}

/// Where in the peer's bytes the next one is.
enum BytePosition {
    /// Of the answer to the handshake; so many bytes of its end are there.
    Head(usize),
    /// In a frame's header, as far as it is there.
    Header(Vec<u8>),
    /// In a payload of which so much is to come; `true`: of a close frame.
    Payload(u64, bool),
    /// Behind a close frame.
    End,
}

impl Default for BytePosition {
    fn default() -> Self {
        Self::Head(0)
    }
}

impl Watch {
    /// Bytes that the peer's machine has taken so far.
    pub fn written(&self) -> u64 {
        self.written.get()
    }

    pub fn wrote(&self, bytes: usize) {
        self.written.set(self.written.get() + bytes as u64);
    }

    /// The code and the reason of the peer's close frame, as they were sent, once it is there.
    pub fn close(&self) -> Option<(u16, String)> {
        let close = self.close.borrow();
        let (code, reason) = close.as_ref()?.split_first_chunk::<2>()?;
        Some((u16::from_be_bytes(*code), std::str::from_utf8(reason).ok()?.to_owned()))
    }

    /// The peer's next bytes. Payloads are passed over as a whole.
    pub fn read(&self, mut bytes: &[u8]) {
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
            // The library ends a connection with a longer one.
            length => BytePosition::Payload(length, is_close && length <= MAX_CLOSE_BYTES as u64),
        }
    }
}

/// Of a whole header; a mask, which a server must not have, counts to the header.
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
