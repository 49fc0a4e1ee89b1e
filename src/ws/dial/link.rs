//! Owns the two halves of an open outgoing connection: messages in, messages out.
//! Called by `dial`, which opens them, and by hubs and proxies, which hold them.

use std::{future::poll_fn, task::Poll};

use bytes::Bytes;
use bytestring::ByteString;
use futures_util::{
    SinkExt as _, StreamExt as _,
    stream::{SplitSink, SplitStream},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        protocol::{
            CloseFrame,
            frame::{
                Frame,
                coding::{CloseCode, Data, OpCode},
            },
        },
    },
};

use super::{LinkError, transport::Transport};
use crate::ws::frame::MAX_CONTROL_BYTES;

/// What a peer says. Its pings are answered unseen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    Text(ByteString),
    /// May share memory with its neighbours; whoever keeps it for long copies it.
    Binary(Bytes),
    Pong,
    /// The last one. `None`: the peer gave no code, or one that must not be sent. It has been answered.
    Close(Option<(u16, String)>),
}

/// What is said to a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outgoing {
    Text(ByteString),
    Binary(Bytes),
    Ping,
    /// The last one; a reason over 123 bytes is cut at a character. The code must be one that may be sent.
    Close(u16, String),
}

type Socket = WebSocketStream<Transport>;

pub(super) fn split(socket: Socket) -> (LinkReader, LinkWriter) {
    let (writer, reader) = socket.split();
    (LinkReader { half: reader, is_over: false }, LinkWriter { half: writer })
}

/// Dropping both halves ends the connection.
pub struct LinkReader {
    half: SplitStream<Socket>,
    is_over: bool,
}

impl LinkReader {
    /// The next message. `None` after a close frame or an error. May be dropped and called again: nothing is lost.
    pub async fn next(&mut self) -> Option<Result<Incoming, LinkError>> {
        while !self.is_over {
            let message = match self.half.next().await {
                Some(Ok(message)) => message,
                Some(Err(trouble)) => {
                    self.is_over = true;
                    return Some(Err(trouble.into()));
                }
                // The peer's close frame was told before, or it never sent one.
                None => break,
            };
            return Some(Ok(match message {
                // Checked once already, but the library's type does not let its proof be taken over.
                Message::Text(text) => match ByteString::try_from(Bytes::from(text)) {
                    Ok(text) => Incoming::Text(text),
                    Err(_) => return Some(Err(LinkError::Protocol("text that is not UTF-8".to_owned()))),
                },
                Message::Binary(bytes) => Incoming::Binary(bytes),
                Message::Pong(_) => Incoming::Pong,
                Message::Close(frame) => {
                    self.is_over = true;
                    self.answer_close().await;
                    Incoming::Close(
                        frame
                            .filter(|frame| !is_stand_in(frame))
                            .map(|frame| (frame.code.into(), frame.reason.to_string())),
                    )
                }
                Message::Ping(_) | Message::Frame(_) => continue,
            }));
        }
        self.is_over = true;
        None
    }

    /// The answer to a ping or to a close frame is written when the connection is read again.
    async fn answer_close(&mut self) {
        poll_fn(|context| {
            let _ = self.half.poll_next_unpin(context);
            Poll::Ready(())
        })
        .await;
    }
}

/// A close frame whose code must not be sent, 1006 for example: the library puts these words in its place.
fn is_stand_in(frame: &CloseFrame) -> bool {
    frame.code == CloseCode::Protocol && frame.reason.as_str() == "Protocol violation"
}

pub struct LinkWriter {
    half: SplitSink<Socket, Message>,
}

impl LinkWriter {
    /// Sends a message and everything fed before. Waits while the peer takes nothing.
    ///
    /// # Errors
    /// When the connection is over; the reader tells more.
    pub async fn send(&mut self, message: Outgoing) -> Result<(), LinkError> {
        self.half.send(encode(message)).await.map_err(LinkError::from)
    }

    /// As `send`, but it may leave the message in the write buffer, until that is full or [`LinkWriter::flush`].
    ///
    /// # Errors
    /// As `send`.
    pub async fn feed(&mut self, message: Outgoing) -> Result<(), LinkError> {
        self.half.feed(encode(message)).await.map_err(LinkError::from)
    }

    /// Writes what was fed.
    ///
    /// # Errors
    /// As `send`.
    pub async fn flush(&mut self) -> Result<(), LinkError> {
        poll_fn(|context| self.half.poll_flush_unpin(context)).await.map_err(LinkError::from)
    }
}

fn encode(message: Outgoing) -> Message {
    match message {
        // As a frame, because a text of the library's own would have to be proven UTF-8 again.
        Outgoing::Text(text) => Message::Frame(Frame::message(text.into_bytes(), OpCode::Data(Data::Text), true)),
        Outgoing::Binary(bytes) => Message::Binary(bytes),
        Outgoing::Ping => Message::Ping(Bytes::new()),
        Outgoing::Close(code, mut reason) => {
            let mut end = reason.len().min(MAX_CONTROL_BYTES - 2);
            while !reason.is_char_boundary(end) {
                end -= 1;
            }
            reason.truncate(end);
            Message::Close(Some(CloseFrame { code: code.into(), reason: reason.into() }))
        }
    }
}
