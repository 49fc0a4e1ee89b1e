//! Owns what the `Room` actor does for operators and back ends (section 8): queries and changes. A
//! change is answered once it is stored (S3), like a join.

use actix::{ActorFutureExt as _, AsyncContext as _, Context, Handler, MessageResult, ResponseFuture, WrapFuture as _};
use tokio::sync::oneshot;

use super::Room;
use crate::{
    clock::Now,
    protocol::{Cause, api::KickRequest},
    room::{
        describe::{EventPage, PlayerReport, RoomDetail, RoomSummary},
        effect::Effects,
        messages::{Append, CloseRoom, Describe, ListEvents, OperateError, Show},
        outlet::OutletItem,
        state::RoomState,
    },
};

type OperatorReply<T> = ResponseFuture<Result<T, OperateError>>;

impl Room {
    /// Applies a change and replies once it is stored.
    fn operate<T: 'static>(
        &mut self,
        context: &mut Context<Self>,
        change: impl FnOnce(&mut RoomState, &mut Effects) -> Result<T, OperateError>,
    ) -> OperatorReply<T> {
        if self.log.appender().is_failing() {
            return Box::pin(async { Err(OperateError::Unavailable) });
        }
        let (done, stored) = oneshot::channel();
        let changed = self.turn_then(context, change, Some(OutletItem::Stored(done)));
        Box::pin(async move {
            let changed = changed?;
            stored.await.map_err(|_| OperateError::RoomGone)?;
            Ok(changed)
        })
    }

    fn summary<P>(&self, players: P) -> RoomSummary<P> {
        let (now, history) = (Now::read(), self.state.history());
        RoomSummary {
            game: self.state.game().clone(),
            players,
            connected: self.state.connected_count(),
            spectators: self.state.spectator_count(),
            seq: self.outlet.delivery().shown(),
            epoch: self.state.epoch().to_owned(),
            age_ms: now.unix_ms.saturating_sub(self.state.begun_ms()),
            bytes: history.bytes() + self.state.document_bytes(),
            events_kept: history.len(),
        }
    }

    fn detail(&self) -> RoomDetail {
        let players = self.state.seats().map(|(player, seat)| {
            let delivery = self.outlet.delivery();
            let link = seat.connection.and_then(|connection| delivery.link(connection));
            (player.clone(), PlayerReport::new(seat, link))
        });
        let summary = RoomSummary { seq: self.state.seq(), ..self.summary(players.collect()) };
        RoomDetail { summary, state: self.state.document_text(), first_seq: self.state.history().first_seq() }
    }
}

impl Handler<Describe> for Room {
    type Result = MessageResult<Describe>;

    fn handle(&mut self, _: Describe, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.summary(self.state.seat_count()))
    }
}

impl Handler<Show> for Room {
    type Result = OperatorReply<RoomDetail>;

    /// Replies once everything before is stored: the state may be ahead of the store, and a reply
    /// must not reveal what is not stored.
    fn handle(&mut self, _: Show, _: &mut Self::Context) -> Self::Result {
        if self.log.appender().is_failing() && self.outlet.is_waiting() {
            return Box::pin(async { Err(OperateError::Unavailable) });
        }
        let detail = self.detail();
        let (done, stored) = oneshot::channel();
        self.outlet.pass(None, std::iter::once(OutletItem::Stored(done)), self.log.appender());
        Box::pin(async move { stored.await.map(|()| detail).map_err(|_| OperateError::RoomGone) })
    }
}

impl Handler<ListEvents> for Room {
    type Result = MessageResult<ListEvents>;

    fn handle(&mut self, list: ListEvents, _: &mut Self::Context) -> Self::Result {
        let shown = self.outlet.delivery().shown();
        MessageResult(EventPage::of(self.state.history(), list.after, list.limit, shown))
    }
}

impl Handler<Append> for Room {
    type Result = OperatorReply<u64>;

    fn handle(&mut self, Append { event, key }: Append, context: &mut Self::Context) -> Self::Result {
        self.operate(context, |state, effects| state.append(event, key, effects).map_err(OperateError::Rejected))
    }
}

impl Handler<KickRequest> for Room {
    type Result = OperatorReply<Option<u64>>;

    fn handle(&mut self, KickRequest { player, ban_s }: KickRequest, context: &mut Self::Context) -> Self::Result {
        self.operate(context, |state, effects| match ban_s {
            Some(seconds) => state.ban(&player, seconds, effects).map_err(OperateError::Rejected),
            None => state.kick(&player, effects).map(Some).ok_or(OperateError::NoSuchPlayer),
        })
    }
}

impl Handler<CloseRoom> for Room {
    type Result = OperatorReply<()>;

    /// Deletes the log before members are closed. In the other order, a crash could bring the room
    /// back.
    fn handle(&mut self, _: CloseRoom, context: &mut Self::Context) -> Self::Result {
        if self.log.appender().is_failing() {
            return Box::pin(async { Err(OperateError::Unavailable) });
        }
        let (done, stored) = oneshot::channel();
        let (answer, answered) = oneshot::channel();
        let removed = self.log.remove();
        let items = [OutletItem::Stored(done), OutletItem::CloseAll(Cause::NoSuchGame)];
        self.outlet.pass(Some(removed), items.into_iter(), self.log.appender());
        // Until the log is deleted, the room handles no message, as it would belong to that log.
        // Senders that wait find the next room.
        context.wait(stored.into_actor(self).map(|stored, room, context| {
            room.end(context);
            // The receiver may be gone.
            let _ = answer.send(stored.map_err(|_| OperateError::RoomGone));
        }));
        Box::pin(async move { answered.await.unwrap_or(Err(OperateError::RoomGone)) })
    }
}
