//! Owns the two commands of the `SessionActor`. Relayed messages take no mailbox: they go through
//! the `ProxySession`.

use actix::Message;

use crate::protocol::Cause;

// ---- commands

/// Sent by a connection that is over, with its cause. A lifecycle message: if it were lost, an
/// upstream would stay open without a client.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct ClientLeft {
    pub cause: Cause,
    pub may_come_back: bool,
}

/// Sent to each session when the server stops, and to a session whose client is away (for this
/// cause) when a newer session gets its permit. A lifecycle message.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct HangUp(pub Cause);
