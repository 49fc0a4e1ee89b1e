//! Owns what the `Room` actor does for its members: joins, requests, departures. A join is answered
//! once its `welcome` is in the outbox.

use std::future::ready;

use actix::{Context, Handler, ResponseFuture};
use tokio::sync::oneshot;

use super::Room;
use crate::{
    protocol::{Cause, Verdict},
    room::{
        messages::{Act, Answer, Detach, Join, JoinError, Leave, Rename},
        outlet::OutletItem,
    },
};

impl Room {
    fn join(&mut self, join: Join, context: &mut Context<Self>) -> Result<oneshot::Receiver<Verdict>, JoinError> {
        if self.log.appender().is_failing() {
            return Err(JoinError::Refused(Cause::Unavailable));
        }
        let Join { request, outbox } = join;
        let connection = request.connection;
        let welcomed = self.outlet.reserve(connection, outbox.take());
        if let Err(cause) = self.turn(context, |state, effects| state.join(request, effects)) {
            self.outlet.forget(connection);
            return Err(JoinError::Refused(cause));
        }
        Ok(welcomed)
    }
}

impl Handler<Join> for Room {
    type Result = ResponseFuture<Result<Verdict, JoinError>>;

    fn handle(&mut self, join: Join, context: &mut Self::Context) -> Self::Result {
        let refused = match self.join(join, context) {
            Ok(welcomed) => return Box::pin(async move { welcomed.await.map_err(|_| JoinError::RoomGone) }),
            Err(refused) => refused,
        };
        Box::pin(ready(Err(refused)))
    }
}

impl Handler<Act> for Room {
    type Result = ();

    fn handle(&mut self, act: Act, context: &mut Self::Context) {
        let is_failing = self.log.appender().is_failing();
        self.turn(
            context,
            |state, effects| {
                if is_failing { state.refuse(act, effects) } else { state.act(act, effects) }
            },
        );
    }
}

impl Handler<Rename> for Room {
    type Result = ();

    fn handle(&mut self, rename: Rename, context: &mut Self::Context) {
        let Rename { connection, player, name } = rename;
        let is_failing = self.log.appender().is_failing();
        self.turn(context, |state, effects| {
            if is_failing {
                state.refuse_request(connection, None, effects);
            } else {
                state.rename_by(connection, &player, name, effects);
            }
        });
    }
}

impl Handler<Answer> for Room {
    type Result = ();

    fn handle(&mut self, answer: Answer, context: &mut Self::Context) {
        let Answer { connection, frame } = answer;
        let answer = OutletItem::Answer { connection, frame: frame.take() };
        self.turn_then(context, |_, _| {}, Some(answer));
    }
}

impl Handler<Leave> for Room {
    type Result = ();

    fn handle(&mut self, leave: Leave, context: &mut Self::Context) {
        self.turn(context, |state, effects| state.leave(leave.connection, &leave.entry, effects));
    }
}

impl Handler<Detach> for Room {
    type Result = ();

    fn handle(&mut self, detach: Detach, context: &mut Self::Context) {
        self.turn(context, |state, effects| state.detach(detach.connection, &detach.entry, effects));
    }
}
