//! Owns the bytes of frames as a client reads and writes them (RFC 6455 section 5.2): what comes is
//! unmasked, what goes is masked.

use std::io;

use super::invalid;

/// A frame of the server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ClientFrame<'a> {
    /// A whole message. Not checked to be UTF-8.
    Text(&'a [u8]),
    /// The code, or 1005 if there is none, and the reason.
    Close(u16, &'a str),
}

impl<'a> ClientFrame<'a> {
    pub(super) fn close(payload: &'a [u8]) -> Self {
        match payload.split_first_chunk() {
            Some((code, reason)) => {
                Self::Close(u16::from_be_bytes(*code), std::str::from_utf8(reason).unwrap_or_default())
            }
            None => Self::Close(1005, ""),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub opcode: u8,
    pub is_final: bool,
    /// The length of the header itself.
    pub bytes: usize,
    pub payload: usize,
}

impl Header {
    /// Returns `None` until the header is whole.
    ///
    /// # Errors
    /// `InvalidData`: a reserved bit is set, or the server masked its frame.
    pub(super) fn read(bytes: &[u8]) -> io::Result<Option<Self>> {
        let [first, second, after @ ..] = bytes else { return Ok(None) };
        if first & 0x70 != 0 {
            return Err(invalid("a frame with a reserved bit"));
        }
        if second & 0x80 != 0 {
            return Err(invalid("a masked frame from a server"));
        }
        let (bytes, payload) = match second {
            126 => match after.first_chunk() {
                Some(length) => (4, u16::from_be_bytes(*length) as usize),
                None => return Ok(None),
            },
            127 => match after.first_chunk() {
                Some(length) => (10, usize::try_from(u64::from_be_bytes(*length)).unwrap_or(usize::MAX)),
                None => return Ok(None),
            },
            short => (2, usize::from(*short)),
        };
        Ok(Some(Self { opcode: first & 0x0f, is_final: first & 0x80 != 0, bytes, payload }))
    }
}

/// Appends a masked frame; `first` is FIN and the opcode.
pub(crate) fn put_frame(out: &mut Vec<u8>, first: u8, payload: &[u8]) {
    out.push(first);
    match payload.len() {
        short @ 0..126 => out.push(0x80 | short as u8),
        medium @ 126..65_536 => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(medium as u16).to_be_bytes());
        }
        long => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    let mask = fastrand::u32(..).to_ne_bytes();
    out.extend_from_slice(&mask);
    let begin = out.len();
    out.extend_from_slice(payload);
    for (index, byte) in out[begin..].iter_mut().enumerate() {
        *byte ^= mask[index & 3];
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use tungstenite::protocol::{Role, WebSocket};

    use super::*;

    #[test]
    fn a_frame_of_every_length_class_is_read_by_another_library() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, 200_000] {
            let payload: Vec<u8> = (0..length).map(|index| b'a' + (index % 26) as u8).collect();
            let mut bytes = Vec::new();
            put_frame(&mut bytes, 0x81, &payload);
            let mut peer = WebSocket::from_raw_socket(Cursor::new(bytes), Role::Server, None);
            assert_eq!(peer.read().unwrap().into_data(), payload, "{length}");
        }
    }

    #[test]
    fn a_header_is_read_once_it_is_whole() {
        for (bytes, header, payload) in
            [(&[0x81, 5][..], 2, 5), (&[0x81, 126, 1, 0], 4, 256), (&[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0], 10, 65_536)]
        {
            let found = Header::read(bytes).unwrap().unwrap();
            assert_eq!((found.bytes, found.payload, found.opcode, found.is_final), (header, payload, 1, true));
            for short in 0..bytes.len() {
                assert_eq!(Header::read(&bytes[..short]).unwrap(), None, "{short} of {bytes:?}");
            }
        }
        assert!(Header::read(&[0x81, 0x85]).is_err(), "masked");
        assert!(Header::read(&[0xc1, 5]).is_err(), "a reserved bit");
    }
}
