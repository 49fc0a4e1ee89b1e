//! Owns the messages of the `Relay` actor: its two commands. What is relayed takes no mailbox: it
//! goes through the line.

use actix::Message;

use crate::protocol::Cause;

// ---- commands

/// Sent by a connection that is over, with why. A lifecycle message: losing it would keep an upstream for nobody.
#[derive(Message)]
#[rtype(result = "()")]
pub struct ClientLeft {
    pub cause: Cause,
    pub may_come_back: bool,
}

/// Sent by the branch to each session when the server stops, and to one whose client is away (for this cause) when a newcomer
/// gets its place. A lifecycle message.
#[derive(Message)]
#[rtype(result = "()")]
pub struct HangUp(pub Cause);
