//! Owns the test that a room with a long queue yields to the other tasks of its shard.

use std::cell::Cell;

use super::*;
use crate::{
    config::Config,
    protocol::{EventRequest, RawJson},
    room::{Ledger, messages::Append, relay::Relay},
};

struct Ear;

impl Actor for Ear {
    type Context = Context<Self>;
}

impl Handler<RoomEnded> for Ear {
    type Result = ();

    fn handle(&mut self, _: RoomEnded, _: &mut Self::Context) {}
}

#[test]
fn a_room_with_a_long_queue_lets_others_run_in_between() {
    actix_rt::System::new().block_on(async {
        let metrics = Metrics::new("test");
        let setting = Rc::new(RoomSetting {
            config: Arc::new(Config::default()),
            metrics: metrics.clone(),
            logger: Logger::root(slog::Discard, slog::o!()),
            ended: Ear.start().recipient(),
            till: Till::new(Ledger::new(1 << 30, metrics)),
            started: Instant::now(),
        });
        let home = RoomHome { appender: Appender::memory(Arc::default()), flush: false, log: None };
        let game = GameId::parse("g").expect("an id");
        let room = Room::open(1, game, Box::new(Relay), home, setting).start();
        let data = RawJson::from_serialize(&"x".repeat(50_000));
        let append = || Append { event: EventRequest::Message { data: data.clone(), to: None }, key: None };
        room.send(append()).await.expect("the room has begun").expect("it is appended");
        (0..1000).for_each(|_| room.try_send(append()).expect("the mailbox takes 1024"));
        let turns = Rc::new(Cell::new(0));
        let counted = turns.clone();
        actix_rt::spawn(async move {
            loop {
                counted.set(counted.get() + 1);
                tokio::task::yield_now().await;
            }
        });
        let began = Instant::now();
        room.send(append()).await.expect("the room lives").expect("it is appended");
        let budgets = began.elapsed().as_millis() as u64 / BUDGET.as_millis() as u64;
        assert!(turns.get() > budgets.min(6) / 2 && turns.get() > 2, "{} turns in {budgets} budgets", turns.get());
    });
}
