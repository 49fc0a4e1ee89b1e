//! Owns `RoomHandle`, all that the rest of the server knows of a room. Made by `registry::shard`.

use actix::{Addr, dev::ToEnvelope, prelude::SendError};

use super::{
    actor::Room,
    describe::{EventPage, RoomDetail, RoomSummary},
    messages::{
        Act, Append, CloseRoom, Describe, Detach, Join, JoinError, Kick, Leave, ListEvents, Membership, OperateError,
        Show,
    },
};
use crate::protocol::server::Verdict;

/// A room that was open when the handle was made.
#[derive(Clone)]
pub struct RoomHandle(Addr<Room>);

/// A room that does not take a command.
pub enum Busy {
    /// Its mailbox is full; try again with [`RoomHandle::act_when_free`].
    Full(Act),
    /// It is over.
    Closed,
}

impl RoomHandle {
    pub(crate) fn new(room: Addr<Room>) -> Self {
        Self(room)
    }

    /// Whether the room still takes messages.
    pub fn is_open(&self) -> bool {
        self.0.connected()
    }

    /// Waits for a place in the mailbox, and until the welcome is in the outbox.
    ///
    /// # Errors
    /// [`JoinError`].
    pub async fn join(&self, join: Join) -> Result<Verdict, JoinError> {
        self.0.send(join).await.unwrap_or(Err(JoinError::RoomGone))
    }

    /// # Errors
    /// [`Busy`].
    pub fn act(&self, act: Act) -> Result<(), Busy> {
        self.0.try_send(act).map_err(|error| match error {
            SendError::Full(act) => Busy::Full(act),
            SendError::Closed(_) => Busy::Closed,
        })
    }

    /// Resolves when the room has taken the command, or is over.
    pub async fn act_when_free(&self, act: Act) {
        let _ = self.0.send(act).await;
    }

    /// See [`Describe`]; `None` when the room is over.
    pub fn describe(&self) -> impl Future<Output = Option<RoomSummary<usize>>> + use<> {
        // Sent now, not when it is polled: a shard asks many rooms at once.
        let asked = self.0.send(Describe);
        async move { asked.await.ok() }
    }

    /// # Errors
    /// [`OperateError`].
    pub async fn show(&self) -> Result<RoomDetail, OperateError> {
        self.0.send(Show).await.unwrap_or(Err(OperateError::RoomGone))
    }

    /// # Errors
    /// [`OperateError::RoomGone`].
    pub async fn events(&self, after: u64, limit: usize) -> Result<EventPage, OperateError> {
        self.0.send(ListEvents { after, limit }).await.map_err(|_| OperateError::RoomGone)
    }

    /// # Errors
    /// [`OperateError`].
    pub async fn append(&self, append: Append) -> Result<u64, OperateError> {
        self.0.send(append).await.unwrap_or(Err(OperateError::RoomGone))
    }

    /// # Errors
    /// [`OperateError`].
    pub async fn kick(&self, kick: Kick) -> Result<Option<u64>, OperateError> {
        self.0.send(kick).await.unwrap_or(Err(OperateError::RoomGone))
    }

    /// Ends the room and its log.
    ///
    /// # Errors
    /// [`OperateError`].
    pub async fn close(&self) -> Result<(), OperateError> {
        self.0.send(CloseRoom).await.unwrap_or(Err(OperateError::RoomGone))
    }

    /// The client goes for good; the room closes the connection.
    pub fn leave(&self, connection: u64, entry: Membership) {
        self.lifecycle(Leave { connection, entry });
    }

    /// The connection is over; the seat is kept.
    pub fn detach(&self, connection: u64, entry: Membership) {
        self.lifecycle(Detach { connection, entry });
    }

    /// Lifecycle messages go past the mailbox's bound: one per connection, and losing one would leak a seat.
    fn lifecycle<M>(&self, message: M)
    where
        M: actix::Message<Result = ()> + Send + 'static,
        Room: actix::Handler<M>,
        actix::Context<Room>: ToEnvelope<Room, M>,
    {
        self.0.do_send(message);
    }
}
