//! Owns how `error` frames are written (3.2): plain, in the shape that clients of an upstream read
//! (X6), or not at all. The outbox knows which shape is its client's.

use std::time::Duration;

use super::frame::{Frame, text};
use crate::protocol::ServerFrame;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Errors {
    /// At rooms and hubs.
    #[default]
    Plain,
    /// At proxies (X6): OpenAI's clients read `error.message`.
    Nested,
    /// At a proxy whose description says `error_frames: false`: every frame there is the upstream's.
    Silent,
}

impl Errors {
    /// `code` is stable, `message` is for people, `id` names the request that failed.
    pub fn frame(self, code: &str, message: &str, id: Option<u64>) -> Option<Frame> {
        match self {
            Self::Plain => Some(error_frame(code, message, id)),
            Self::Nested => Some(text(|out| ServerFrame::proxy_error(code, message, id, None).write(out))),
            Self::Silent => None,
        }
    }

    /// As `frame`, of an upstream that asks to be left alone for so long.
    pub fn frame_for_later(self, code: &str, message: &str, retry_after: Duration) -> Option<Frame> {
        let ms = retry_after.as_millis() as u64;
        match self {
            Self::Nested => Some(text(|out| ServerFrame::proxy_error(code, message, None, Some(ms)).write(out))),
            Self::Plain | Self::Silent => self.frame(code, message, None),
        }
    }
}

/// An `error` frame of a room or a hub.
pub fn error_frame(code: &str, message: &str, id: Option<u64>) -> Frame {
    text(|out| ServerFrame::Error { code, message, id, topic: None }.write(out))
}
