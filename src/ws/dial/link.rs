//! Owns the two halves of an open outgoing connection: one reads messages, one writes them.

use std::{
    cell::RefCell,
    future::poll_fn,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use actix_rt::task::JoinHandle;
use bytes::Bytes;
use bytestring::ByteString;
use futures_util::{Sink, Stream};
use tokio::{
    io::{AsyncRead as _, AsyncWrite as _, ReadBuf},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error as Trouble, Message,
        protocol::{
            CloseFrame,
            frame::{
                Frame,
                coding::{CloseCode, Data, OpCode},
            },
        },
    },
};

use super::{LinkError, transport::Transport, watch::Watch};
use crate::ws::frame::MAX_CONTROL_BYTES;

/// Pings in a row during which the peer takes none of our bytes, which include the pongs. Honest
/// peers send a few a minute.
const MAX_UNREAD_PINGS: u32 = 1000;
/// How long the close frame for a peer that broke the protocol, and that peer's end of the
/// connection, may take.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(1);
/// A registered close code that the library nevertheless treats as one that must not be sent.
const BAD_GATEWAY: u16 = 1014;

/// A message of the peer. The library answers its pings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Incoming {
    Text(ByteString),
    /// May share memory with neighbouring messages: copy it before keeping it for long.
    Binary(Bytes),
    Pong,
    /// The last message; it has been answered. `None`: the peer sent no code, or one that must not
    /// be sent.
    Close(Option<(u16, String)>),
}

/// A message to the peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outgoing {
    Text(ByteString),
    Binary(Bytes),
    Ping,
    /// The last message. The code must be one that may be sent; a reason over 123 bytes is cut at a
    /// character boundary.
    Close(u16, String),
}

type UpstreamSocket = WebSocketStream<Transport>;

/// The socket that both halves share. They live on one thread, and neither holds a borrow while it
/// waits.
#[derive(Clone)]
struct SharedSocket(Rc<RefCell<UpstreamSocket>>);

impl SharedSocket {
    fn poll_next(&self, context: &mut Context<'_>) -> Poll<Option<Result<Message, Trouble>>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_next(context)
    }

    async fn feed(&self, message: Message) -> Result<(), Trouble> {
        poll_fn(|context| Pin::new(&mut *self.0.borrow_mut()).poll_ready(context)).await?;
        Pin::new(&mut *self.0.borrow_mut()).start_send(message)
    }

    async fn flush(&self) -> Result<(), Trouble> {
        poll_fn(|context| Pin::new(&mut *self.0.borrow_mut()).poll_flush(context)).await
    }

    /// Sends a close frame to a peer that broke the protocol (RFC 6455 section 7.1.7), then
    /// discards what it still sends: closing a socket with unread bytes would drop the close frame.
    async fn farewell(self, code: u16) {
        let saying = async {
            let close = CloseFrame { code: code.into(), reason: "".into() };
            self.feed(Message::Close(Some(close))).await?;
            self.flush().await?;
            poll_fn(|context| Pin::new(self.0.borrow_mut().get_mut()).poll_shutdown(context)).await?;
            let mut scrap = [0; 4096];
            loop {
                let mut buffer = ReadBuf::new(&mut scrap);
                poll_fn(|context| Pin::new(self.0.borrow_mut().get_mut()).poll_read(context, &mut buffer)).await?;
                if buffer.filled().is_empty() {
                    return Ok::<_, Trouble>(());
                }
            }
        };
        // Errors do not matter: the connection is over.
        let _ = timeout(FAREWELL_TIMEOUT, saying).await;
    }
}

pub(super) fn split(socket: UpstreamSocket) -> (LinkReader, LinkWriter) {
    let watch = socket.get_ref().watch().clone();
    let shared = SharedSocket(Rc::new(RefCell::new(socket)));
    let taken = watch.written();
    let reader = LinkReader { socket: shared.clone(), watch, is_over: false, taken, unread_pings: 0, farewell: None };
    (reader, LinkWriter { socket: shared })
}

/// Reads messages. Dropping both halves ends the connection.
pub(crate) struct LinkReader {
    socket: SharedSocket,
    watch: Rc<Watch>,
    is_over: bool,
    /// `Watch::written` when it last changed, and the pings since then.
    taken: u64,
    unread_pings: u32,
    /// The task that closes towards a peer that broke the protocol. It continues when this is
    /// dropped.
    farewell: Option<JoinHandle<()>>,
}

impl LinkReader {
    /// Returns the next message; `None` after a close frame, or after an error once the connection
    /// is closed. Cancel safe: it may be dropped and called again without losing a message.
    pub(crate) async fn next(&mut self) -> Option<Result<Incoming, LinkError>> {
        while !self.is_over {
            let message = match poll_fn(|context| self.socket.poll_next(context)).await {
                Some(Ok(message)) => message,
                Some(Err(trouble)) => return Some(Err(self.fail(trouble.into()))),
                // The close frame was returned before, or the peer never sent one.
                None => break,
            };
            return Some(Ok(match message {
                // The library has checked this, but its type does not let its proof be reused.
                Message::Text(text) => match ByteString::try_from(Bytes::from(text)) {
                    Ok(text) => Incoming::Text(text),
                    Err(_) => return Some(Err(self.fail(LinkError::NotText))),
                },
                Message::Binary(bytes) => Incoming::Binary(bytes),
                Message::Pong(_) => Incoming::Pong,
                Message::Close(frame) => {
                    self.is_over = true;
                    self.answer_close().await;
                    Incoming::Close(self.close(frame))
                }
                Message::Ping(_) if self.is_unread() => return Some(Err(self.fail(LinkError::Unread))),
                Message::Ping(_) | Message::Frame(_) => continue,
            }));
        }
        self.is_over = true;
        if let Some(farewell) = &mut self.farewell {
            let _ = farewell.await;
            self.farewell = None;
        }
        None
    }

    fn fail(&mut self, error: LinkError) -> LinkError {
        self.is_over = true;
        if let Some(code) = error.close_code() {
            self.farewell = Some(actix_rt::spawn(self.socket.clone().farewell(code)));
        }
        error
    }

    /// Returns true if the peer keeps sending pings and takes no reply.
    fn is_unread(&mut self) -> bool {
        let taken = self.watch.written();
        if taken != self.taken {
            (self.taken, self.unread_pings) = (taken, 0);
        }
        self.unread_pings += 1;
        self.unread_pings > MAX_UNREAD_PINGS
    }

    /// Returns code and reason of the close frame. The library replaces a frame whose code must not
    /// be sent, such as 1006, by one of its own.
    fn close(&self, frame: Option<CloseFrame>) -> Option<(u16, String)> {
        let frame = frame?;
        let is_stand_in = frame.code == CloseCode::Protocol && frame.reason.as_str() == "Protocol violation";
        if is_stand_in {
            return self.watch.close().filter(|(code, _)| *code == BAD_GATEWAY);
        }
        Some((frame.code.into(), frame.reason.to_string()))
    }

    /// Polls once: the library writes its reply to a close frame at the next read.
    async fn answer_close(&mut self) {
        poll_fn(|context| {
            let _ = self.socket.poll_next(context);
            Poll::Ready(())
        })
        .await;
    }
}

pub(crate) struct LinkWriter {
    socket: SharedSocket,
}

impl LinkWriter {
    /// Sends a message, after everything fed before. Waits while the peer takes nothing.
    ///
    /// # Errors
    /// Fails if the connection is over; the reader returns the reason.
    pub(crate) async fn send(&mut self, message: Outgoing) -> Result<(), LinkError> {
        self.feed(message).await?;
        self.flush().await
    }

    /// As `send`, but may leave the message in the write buffer until that is full or flushed.
    ///
    /// # Errors
    /// As `send`.
    pub(crate) async fn feed(&mut self, message: Outgoing) -> Result<(), LinkError> {
        self.socket.feed(encode(message)).await.map_err(LinkError::from)
    }

    /// Writes all fed messages.
    ///
    /// # Errors
    /// As `send`.
    pub(crate) async fn flush(&mut self) -> Result<(), LinkError> {
        self.socket.flush().await.map_err(LinkError::from)
    }
}

fn encode(message: Outgoing) -> Message {
    match message {
        // Sent as a raw frame, because the library's text message would check the UTF-8 again.
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
