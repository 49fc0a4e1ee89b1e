//! Owns the encoding of `error` frames (3.2): plain, nested as an upstream's clients expect them
//! (X6), or none. Each outbox holds the shape for its client.

use std::time::Duration;

use super::frame::{Frame, text};
use crate::protocol::ServerFrame;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Errors {
    /// For rooms and hubs.
    #[default]
    Plain,
    /// For proxies (X6): OpenAI's clients read `error.message`.
    Nested,
    /// For a proxy with `error_frames: false`, whose client gets only the upstream's frames.
    Silent,
}

impl Errors {
    /// `code` is stable, `message` is for people, `id` is that of the failed request. Returns
    /// `None` for `Silent`.
    pub(crate) fn frame(self, code: &str, message: &str, id: Option<u64>) -> Option<Frame> {
        match self {
            Self::Plain => Some(error_frame(code, message, id)),
            Self::Nested => Some(text(|out| ServerFrame::proxy_error(code, message, id, None).write(out))),
            Self::Silent => None,
        }
    }

    /// As `frame`, with the time after which the client may try again. Only `Nested` carries it.
    pub(crate) fn frame_for_later(self, code: &str, message: &str, retry_after: Duration) -> Option<Frame> {
        let ms = retry_after.as_millis() as u64;
        match self {
            Self::Nested => Some(text(|out| ServerFrame::proxy_error(code, message, None, Some(ms)).write(out))),
            Self::Plain | Self::Silent => self.frame(code, message, None),
        }
    }
}

/// An `error` frame of a room or a hub.
pub(crate) fn error_frame(code: &str, message: &str, id: Option<u64>) -> Frame {
    text(|out| ServerFrame::Error { code, message, id, topic: None }.write(out))
}
