//! Owns the JSON text that members get: of an event, a list of players, a reply.

use std::fmt;

use crate::ws::{self, Frame, frame::payload};

/// One JSON value for members. Cheap to clone.
///
/// The text has its WebSocket framing in front of it, in the same allocation: a broadcast frames
/// once and allocates nothing for each member. Other transports frame [`MemberText::json`].
#[derive(Clone)]
pub struct MemberText(Frame);

impl MemberText {
    /// `write` appends the value to its buffer.
    pub fn write(write: impl FnOnce(&mut Vec<u8>)) -> Self {
        Self(ws::json_frame(write))
    }

    /// The text of an `error`. `code` is stable, `message` is for people, `id` is that of the
    /// failed request.
    pub fn error(code: &str, message: &str, id: Option<u64>) -> Self {
        Self(ws::error_frame(code, message, id))
    }

    pub fn json(&self) -> &[u8] {
        payload(&self.0)
    }

    pub fn frame(&self) -> &Frame {
        &self.0
    }

    /// Returns the bytes of the text and its framing.
    pub fn bytes(&self) -> usize {
        self.0.len()
    }
}

impl From<MemberText> for Frame {
    fn from(text: MemberText) -> Self {
        text.0
    }
}

impl fmt::Debug for MemberText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.json()))
    }
}
