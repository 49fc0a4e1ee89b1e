//! Owns what happens when the process of a `World` is killed: only the log is left, and the room is
//! restored from it.

use std::{
    future::Future as _,
    pin::pin,
    task::{Context, Poll, Waker},
};

use serde_json::Value;

use super::world::{World, game, new_delivery, new_log, new_state};
use crate::room::{recovery::Recovered, state::RoomState};

impl World {
    /// R5, S3. Each client still gets `keep` of the frames in flight; the rest is lost with the
    /// process.
    pub(super) fn crash(&mut self, keep: usize) {
        for who in 0..self.clients.len() {
            self.abandon(who, keep);
        }
        self.unnoticed.clear();
        let Poll::Ready(Ok(Some(log))) =
            pin!(self.store.read(game().into())).poll(&mut Context::from_waker(Waker::noop()))
        else {
            panic!("the log is there")
        };
        let recovered = Recovered::from_log(&log, self.now).expect("a snapshot that can be read");
        assert!(recovered.is_intact, "what was written makes sense");
        let document: Value = serde_json::from_str(recovered.document.to_raw().get()).expect("JSON");
        assert_eq!((recovered.seq, &document), (self.log.len() as u64, &self.document));
        self.delivery = new_delivery(self.terms, recovered.seq);
        self.room_log = new_log(&self.store, recovered.end);
        self.state = new_state(self.terms, self.now);
        self.state.restore(recovered, self.now.instant, self.now);
        for seat in self.seats.values_mut() {
            seat.in_this_life = false;
            if seat.connection.take().is_some() {
                seat.away_since = Some(self.now.instant);
            }
        }
        self.run(RoomState::reopen);
    }
}
