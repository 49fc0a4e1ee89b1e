//! Owns `RoomHandle`, the only access that the rest of the server has to a room.

use actix::{Addr, Context, Handler, Message, dev::ToEnvelope, prelude::SendError};

use super::{
    actor::Room,
    describe::{EventPage, RoomDetail, RoomSummary},
    messages::{
        Append, CloseRoom, Describe, Detach, Join, JoinError, Leave, ListEvents, Membership, OperateError, Show,
    },
};
use crate::protocol::{Verdict, api::KickRequest};

/// Refers to a room that was open when the handle was made. The room may have ended since.
#[derive(Clone)]
pub(crate) struct RoomHandle(Addr<Room>);

/// Why a room does not take a command.
pub(crate) enum Busy<M> {
    /// Its mailbox is full; try again with [`RoomHandle::pass_when_free`].
    Full(M),
    /// The room is over.
    Closed,
}

impl RoomHandle {
    pub(crate) fn new(room: Addr<Room>) -> Self {
        Self(room)
    }

    /// Returns whether the room still takes messages.
    pub(crate) fn is_open(&self) -> bool {
        self.0.connected()
    }

    /// Waits for space in the mailbox, then until the `welcome` is in the outbox.
    ///
    /// # Errors
    /// [`JoinError`].
    pub(crate) async fn join(&self, join: Join) -> Result<Verdict, JoinError> {
        self.0.send(join).await.unwrap_or(Err(JoinError::RoomGone))
    }

    /// Passes a member's command to the room.
    ///
    /// # Errors
    /// `Busy`.
    pub(crate) fn pass<M: Message<Result = ()> + Send + 'static>(&self, command: M) -> Result<(), Busy<M>>
    where
        Room: Handler<M>,
    {
        self.0.try_send(command).map_err(|error| match error {
            SendError::Full(command) => Busy::Full(command),
            SendError::Closed(_) => Busy::Closed,
        })
    }

    /// Resolves when the mailbox has taken the command, or when the room is over.
    pub(crate) async fn pass_when_free<M: Message<Result = ()> + Send + 'static>(&self, command: M)
    where
        Room: Handler<M>,
    {
        let _ = self.0.send(command).await;
    }

    /// See [`Describe`]. Resolves to `None` when the room is over.
    pub(crate) fn describe(&self) -> impl Future<Output = Option<RoomSummary<usize>>> + use<> {
        // Sent at once, not at the first poll, so that a shard can ask many rooms concurrently.
        let asked = self.0.send(Describe);
        async move { asked.await.ok() }
    }

    /// # Errors
    /// [`OperateError`].
    pub(crate) async fn show(&self) -> Result<RoomDetail, OperateError> {
        self.0.send(Show).await.unwrap_or(Err(OperateError::RoomGone))
    }

    /// # Errors
    /// [`OperateError::RoomGone`].
    pub(crate) async fn events(&self, after: u64, limit: usize) -> Result<EventPage, OperateError> {
        self.0.send(ListEvents { after, limit }).await.map_err(|_| OperateError::RoomGone)
    }

    /// # Errors
    /// [`OperateError`].
    pub(crate) async fn append(&self, append: Append) -> Result<u64, OperateError> {
        self.0.send(append).await.unwrap_or(Err(OperateError::RoomGone))
    }

    /// # Errors
    /// [`OperateError`].
    pub(crate) async fn kick(&self, kick: KickRequest) -> Result<Option<u64>, OperateError> {
        self.0.send(kick).await.unwrap_or(Err(OperateError::RoomGone))
    }

    /// Ends the room and its log.
    ///
    /// # Errors
    /// [`OperateError`].
    pub(crate) async fn close(&self) -> Result<(), OperateError> {
        self.0.send(CloseRoom).await.unwrap_or(Err(OperateError::RoomGone))
    }

    /// The client gives up its seat for good. The room closes the connection.
    pub(crate) fn leave(&self, connection: u64, entry: Membership) {
        self.lifecycle(Leave { connection, entry });
    }

    /// The connection is over. The room keeps the seat.
    pub(crate) fn detach(&self, connection: u64, entry: Membership) {
        self.lifecycle(Detach { connection, entry });
    }

    /// Lifecycle messages bypass the mailbox's bound: there is one per connection, and losing one
    /// would leak a seat.
    fn lifecycle<M>(&self, message: M)
    where
        M: Message<Result = ()> + Send + 'static,
        Room: Handler<M>,
        Context<Room>: ToEnvelope<Room, M>,
    {
        self.0.do_send(message);
    }
}
