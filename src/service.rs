//! Owns what stands between a connection and what it serves: a [`Target`], which a socket asks for,
//! and a [`Service`], which the connection talks to once the target has let it in.
//!
//! Both live on the connection's thread. A connection knows what all sockets share: authentication,
//! heartbeat, rates, bad frames, one cause at its end. What a frame means is the service's.

use std::{net::IpAddr, pin::Pin, rc::Rc};

use actix_web_actors::ws::Message;

use crate::{
    gate::{Resource, RoomLimit, Standing},
    observe::log::SecurityFields,
    protocol::{Cause, Dialect, DisplayName, FrameError, HubRequest, RoomRequest, Verdict},
    ws::{DecodeError, Errors, Frame, Outbox},
};

/// A future of the connection's thread.
pub(crate) type LocalFuture<T> = Pin<Box<dyn Future<Output = T>>>;

/// What a socket asks for. It lives as long as the connection.
pub(crate) trait Target {
    /// Returns what a token must be good for.
    fn resource(&self) -> Resource<'_>;

    /// Returns which frames a client may send. With [`Dialect::Proxy`], the messages of a client
    /// that has entered pass through unparsed, and the server adds no frame of its own but an
    /// `error` before the close.
    fn dialect(&self) -> Dialect;

    /// Returns in which form the client gets errors.
    fn errors(&self) -> Errors {
        Errors::Plain
    }

    /// Returns the longest message of a client that has entered, in bytes; `None`:
    /// `MAX_MESSAGE_BYTES`.
    fn max_message_bytes(&self) -> Option<usize> {
        None
    }

    /// Returns the fields that name the target in the log.
    fn log_fields(&self) -> SecurityFields<'_>;

    /// Lets a client in. The client's welcome is in its outbox before the service is returned.
    fn enter(self: Rc<Self>, entry: Entry) -> Entering;
}

/// A client that asks to enter.
pub(crate) struct Entry {
    /// Unique on this shard.
    pub connection: u64,
    pub outbox: Rc<Outbox>,
    /// The address by which limits count the client.
    pub address: IpAddr,
    pub standing: Standing,
    /// A valid token gave the standing.
    pub authenticated: bool,
    /// R1: the session secret, and the number of the last event or frame that the client has seen.
    pub session: Option<String>,
    pub seen: Option<u64>,
    /// A5a: the client may only replace a connection of the same address.
    pub must_replace: bool,
    /// The player's display name (S11).
    pub name: Option<DisplayName>,
    /// The client receives display names (S11).
    pub wants_names: bool,
}

/// A client that has entered.
pub(crate) struct Entered {
    pub service: Box<dyn Service>,
    /// The verdict of R3, where sessions are resumed.
    pub resume: Option<Verdict>,
}

/// Why a client may not enter. It has got no frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EntryRefusal {
    /// `code` is that of the `error` frame before the close, `message` is for people.
    Closed { cause: Cause, code: &'static str, message: String },
    /// The client had to replace a connection, and there was none (A5a).
    NothingReplaced,
    /// A bound on rooms is reached (S14).
    Full(RoomLimit),
}

impl EntryRefusal {
    /// A refusal whose code is the cause's name.
    pub(crate) fn because(cause: Cause, message: impl Into<String>) -> Self {
        Self::Closed { cause, code: cause.name(), message: message.into() }
    }
}

/// The result of [`Target::enter`]. While the client waits, its connection reads nothing, so that
/// its frames keep their order.
pub(crate) enum Entering {
    Done(Result<Entered, EntryRefusal>),
    Waiting(LocalFuture<Result<Entered, EntryRefusal>>),
}

/// What a connection does next.
pub(crate) enum Flow {
    Continue,
    /// Read nothing more until this resolves.
    Wait(LocalFuture<()>),
    /// Answer with an `error` and count the frame as bad (P2).
    BadFrame(FrameError),
    /// Close, after this frame if there is one.
    End(Cause, Option<Frame>),
}

/// What a connection talks to once it has entered.
pub(crate) trait Service {
    /// Takes a request to a room. Only called for [`Dialect::Game`].
    fn room_request(&mut self, _request: RoomRequest) -> Flow {
        Flow::Continue
    }

    /// Takes a request to a hub. Only called for [`Dialect::Hub`].
    fn hub_request(&mut self, _request: HubRequest) -> Flow {
        Flow::Continue
    }

    /// Takes a message that is not parsed: text, binary or close. Only called for
    /// [`Dialect::Proxy`].
    fn message(&mut self, _message: Message) -> Flow {
        Flow::Continue
    }

    /// Takes a pong. Returns whether the service asked for it: then it does not count as a frame of
    /// the client (S5).
    fn pong(&mut self, _payload: &[u8]) -> bool {
        false
    }

    /// Sends the connection's own answer to a frame, behind the answers to earlier frames.
    fn reply(&mut self, frame: Frame) -> Flow;

    /// Changes the client's display name (S11).
    fn rename(&mut self, _name: DisplayName) -> Flow {
        Flow::Continue
    }

    /// Returns the text of a decoder's error, with the setting that applies here.
    fn decode_error(&self, error: DecodeError) -> String {
        error.to_string()
    }

    /// The connection is over, for this cause.
    fn closed(self: Box<Self>, _cause: Cause) {}
}
