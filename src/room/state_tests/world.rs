//! Owns a room under test with its clients and a manual clock, and a model that predicts the room's
//! behaviour.

use std::{
    collections::BTreeMap,
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Waker},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{
    Terms,
    arrivals::Claim,
    client::{Client, Line, Logged, merge_patch},
    talkative::Talkative,
};
use crate::{
    clock::Now,
    config::{Config, HistoryConfig},
    observe::metrics::Metrics,
    protocol::{EventRequest, GameId, PlayerId, RawJson, RoomRequest},
    room::{
        delivery::{Delivery, WelcomeTerms},
        effect::{Effect, Effects},
        history::Event,
        log::RoomLog,
        logic::RoomLogic,
        messages::{Act, Membership},
        outlet::Deferred,
        relay::Relay,
        state::RoomState,
    },
    store::{Appended, Appender, Outcome, Snapshot},
    ws::{Flusher, Outbox},
};

pub(super) const EPOCH: &str = "this-epoch";
const GRACE: Duration = Duration::from_millis(1000);
pub(super) const OUTBOX_BYTES: usize = 2000;
pub(super) const SPECTATOR: usize = 3;

#[derive(Debug, Clone, Copy)]
pub(super) enum Id {
    /// An `id` this much above the last one.
    Next(u64),
    /// An `id` this much below the last one, or equal to it.
    Repeat(u64),
    None,
}

/// A seat as the model expects it.
#[derive(Default)]
pub(super) struct Seat {
    pub(super) connection: Option<u64>,
    pub(super) secret: Option<String>,
    pub(super) last_id: u64,
    pub(super) away_since: Option<Instant>,
    /// Its player was welcomed since the last crash.
    pub(super) in_this_life: bool,
}

pub(super) struct World {
    pub(super) state: RoomState,
    pub(super) delivery: Delivery,
    pub(super) store: Rc<Appender<Deferred>>,
    pub(super) room_log: RoomLog,
    pub(super) flusher: Rc<Flusher>,
    pub(super) terms: Terms,
    pub(super) now: Now,
    pub(super) connections: u64,
    /// The outbox of the client that joins.
    pub(super) arriving: Option<Rc<Outbox>>,
    pub(super) log: Vec<Logged>,
    pub(super) document: Value,
    pub(super) changed_at: u64,
    pub(super) seats: BTreeMap<PlayerId, Seat>,
    pub(super) clients: [Client; 4],
    /// Broken sockets that the server has not noticed yet.
    pub(super) unnoticed: Vec<Line>,
    pub(super) volatile: u64,
    pub(super) verdicts: Vec<&'static str>,
}

pub(super) fn entry(who: usize) -> Membership {
    match who {
        SPECTATOR => Membership::Spectator,
        _ => Membership::Player(player(who)),
    }
}

pub(super) fn player(who: usize) -> PlayerId {
    PlayerId::parse(["alice", "bob", "carol", "watcher"][who]).expect("an id")
}

pub(super) fn game() -> GameId {
    GameId::parse("game").expect("an id")
}

fn config(terms: Terms) -> Arc<Config> {
    let mut config = Config::default();
    config.room.reconnect_grace = GRACE;
    config.room.presence_limit = terms.presence_limit;
    let max_age = Duration::from_secs(1_000_000);
    config.room.history = HistoryConfig { max_events: terms.history_events, max_bytes: usize::MAX, max_age };
    Arc::new(config)
}

pub(super) fn new_state(terms: Terms, now: Now) -> RoomState {
    let logic: Box<dyn RoomLogic> = if terms.talkative { Box::new(Talkative) } else { Box::new(Relay) };
    RoomState::new(game(), EPOCH.into(), logic, config(terms), 7, now)
}

pub(super) fn new_delivery(terms: Terms, shown: u64) -> Delivery {
    Delivery::new(shown, terms.holds, WelcomeTerms { game: game(), epoch: EPOCH.into(), config: config(terms) })
}

/// Takes snapshots often, so that tests meet them.
pub(super) fn new_log(store: &Rc<Appender<Deferred>>, position: u64) -> RoomLog {
    RoomLog::new(game(), store.clone(), false, position).with_snapshots_after(1000)
}

impl World {
    pub(super) fn new(terms: Terms) -> Self {
        let now = Now::read();
        let store = Appender::memory(Arc::default());
        let state = new_state(terms, now);
        let mut room_log = new_log(&store, 0);
        assert_eq!(room_log.begin(&state.image(now), false), Appended::Settled(Outcome::Stored));
        Self {
            state,
            delivery: new_delivery(terms, 0),
            store,
            room_log,
            flusher: Flusher::new(Metrics::new("test").shard()),
            terms,
            now,
            connections: 0,
            arriving: None,
            log: Vec::new(),
            document: json!({}),
            changed_at: 0,
            seats: BTreeMap::new(),
            clients: std::array::from_fn(|_| Client::new()),
            unnoticed: Vec::new(),
            volatile: 0,
            verdicts: Vec::new(),
        }
    }

    pub(super) fn verdicts(&self) -> &[&'static str] {
        &self.verdicts
    }

    pub(super) fn stall(&mut self, who: usize, bytes: usize) {
        if let Some(line) = &self.clients[who].line {
            line.wire.room.set(bytes);
        }
    }

    /// The client reads everything. If it still is a member, nothing may be missing.
    pub(super) fn read(&mut self, who: usize) {
        self.delivery.release();
        self.turn();
        let client = &mut self.clients[who];
        let Some(line) = &client.line else { return };
        line.wire.room.set(usize::MAX);
        line.outbox.flush();
        client.hear_some(usize::MAX, &self.log);
        let Some(line) = &client.line else { return };
        match line.closed {
            None => {
                let player = Some(player(who)).filter(|_| who != SPECTATOR);
                client.check_complete(player.as_ref(), &self.log, &self.document);
            }
            Some(code) => {
                assert!(code == 1000 || code == 4008, "{code}");
                self.abandon(who, 0);
            }
        }
    }

    fn line(&self, who: usize) -> Option<u64> {
        self.clients[who].line.as_ref().filter(|line| line.outbox.cause().is_none()).map(|line| line.connection)
    }

    fn id(&self, who: usize, id: Id) -> (Option<u64>, bool) {
        let last_id = self.seats.get(&player(who)).map_or(0, |seat| seat.last_id);
        match id {
            Id::None => (None, false),
            Id::Next(by) => (Some(last_id + by), false),
            Id::Repeat(by) if last_id > by => (Some(last_id - by), true),
            Id::Repeat(_) => (Some(last_id + 1), false),
        }
    }

    pub(super) fn send(&mut self, who: usize, id: Id, to: Option<u8>, what: u8) {
        let Some(connection) = self.line(who) else { return };
        let (id, repeated) = self.id(who, id);
        let to = to.map(|mask| (0..3).filter(|other| mask & (1 << other) != 0).map(player).collect());
        let data = RawJson::from_serialize(&what);
        let refused = self.terms.talkative && what == 2;
        self.append(connection, who, id, EventRequest::Message { data, to }, repeated, refused);
    }

    pub(super) fn patch(&mut self, who: usize, id: Id, field: u8, value: u8, stale: bool) {
        let Some(connection) = self.line(who) else { return };
        let (id, repeated) = self.id(who, id);
        let value = [json!(null), json!(self.log.len()), json!({ "x": who }), json!({ "x": null, "y": [1] })]
            [usize::from(value)]
        .clone();
        let patch = RawJson::from_serialize(&json!({ format!("field-{field}"): value }));
        let stale = stale && self.changed_at > 0;
        let if_seq = Some(if stale { self.changed_at - 1 } else { self.changed_at });
        self.append(connection, who, id, EventRequest::Patch { patch, if_seq }, repeated, stale);
    }

    /// S2: a repeated id gets only an `ack`, a refused request leaves no trace, any other is logged
    /// first.
    fn append(
        &mut self,
        connection: u64,
        who: usize,
        id: Option<u64>,
        event: EventRequest,
        repeated: bool,
        refused: bool,
    ) {
        let mut effects = Effects::at(self.now, self.room_log.position());
        let request = RoomRequest::Append { id, event };
        self.state.act(Act { connection, player: player(who), request }, &mut effects);
        let effects = effects.into_list();
        match (repeated, refused) {
            (true, _) => assert!(matches!(effects[..], [Effect::Ack { .. }])),
            (false, true) => assert!(matches!(effects[..], [Effect::Reply { .. }])),
            (false, false) => assert!(matches!(effects[0], Effect::Event(_))),
        }
        self.carry_out(effects);
    }

    pub(super) fn volatile(&mut self, who: usize, name: u8) {
        let Some(connection) = self.line(who) else { return };
        self.volatile += 1;
        let data = RawJson::from_serialize(&self.volatile);
        let request = RoomRequest::Volatile { name: name.to_string(), data, to: None };
        self.run(|state, effects| state.act(Act { connection, player: player(who), request }, effects));
    }

    pub(super) fn leave(&mut self, who: usize) {
        let Some(connection) = self.line(who) else { return };
        self.seats.remove(&player(who)).filter(|_| who != SPECTATOR);
        let was_crowd = self.is_crowd();
        let reached = self.log.len();
        self.run(|state, effects| state.leave(connection, &entry(who), effects));
        let client = &mut self.clients[who];
        let line = client.line.as_ref().expect("checked");
        line.wire.room.set(usize::MAX);
        line.outbox.flush();
        client.hear_some(usize::MAX, &self.log);
        let closed = client.line.take().and_then(|line| line.closed);
        // A client that reads nothing may overflow by its own `left`.
        assert!(matches!(closed, Some(1000 | 4008)), "{closed:?}");
        if closed == Some(1000) && who != SPECTATOR && !was_crowd {
            assert!(client.got.contains(&(reached as u64 + 1)), "the last event is its own left");
        }
    }

    /// Returns whether presence is only a count now (S9a has its own test).
    pub(super) fn is_crowd(&self) -> bool {
        self.state.is_crowd()
    }

    pub(super) fn wait(&mut self, ms: u64) {
        self.now = self.now.later(Duration::from_millis(ms));
        let now = self.now.instant;
        self.seats.retain(|_, seat| seat.away_since.is_none_or(|since| since + GRACE > now));
        while self.state.next_deadline().is_some_and(|due| due <= now) && !self.state.is_over(now) {
            self.run(RoomState::tick);
        }
    }

    pub(super) fn run(&mut self, change: impl FnOnce(&mut RoomState, &mut Effects)) {
        let mut effects = Effects::at(self.now, self.room_log.position());
        change(&mut self.state, &mut effects);
        self.carry_out(effects.into_list());
    }

    pub(super) fn carry_out(&mut self, effects: Vec<Effect>) {
        self.store_all(&effects);
        self.show(effects);
    }

    /// Stores the effects of one turn at once, as a snapshot shows the end of a turn.
    pub(super) fn store_all(&mut self, effects: &[Effect]) {
        let (state, now) = (&self.state, self.now);
        let snapshot = || Snapshot { body: state.image(now).to_bytes(), keep_from: state.history().keep_from() };
        let appended = self.room_log.write(effects, snapshot);
        assert!(matches!(appended, None | Some(Appended::Settled(Outcome::Stored))), "the log fits");
    }

    pub(super) fn show(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            if let Effect::Event(event) = &effect {
                self.event(event);
            }
            match effect {
                Effect::Enter { connection, membership, draft } => {
                    let outbox = self.arriving.take().expect("the outbox of who joins");
                    assert_eq!(Some(&draft.verdict.name()), self.verdicts.last());
                    self.delivery.enter(connection, membership, outbox, *draft);
                }
                effect => self.delivery.deliver(effect),
            }
        }
        self.turn();
    }

    /// Checks that the log has no gap, and no id twice.
    fn event(&mut self, event: &Event) {
        let text: Value = serde_json::from_slice(event.text.json()).expect("events are JSON");
        assert_eq!(event.seq, self.log.len() as u64 + 1);
        assert_eq!(text["seq"], event.seq);
        if let Some((player, id)) = &event.request {
            let seat = self.seats.get_mut(player).expect("only those who have a seat are heard");
            assert!(*id > seat.last_id, "{player}'s {id} was applied after {}", seat.last_id);
            seat.last_id = *id;
        }
        if text["type"] == "patch" {
            merge_patch(&mut self.document, &text["patch"]);
            self.changed_at = event.seq;
        }
        self.log.push(Logged { text, audience: event.audience.clone() });
    }

    /// Ends a turn of the event loop: each outbox with queued frames is written once.
    pub(super) fn turn(&self) {
        let _ = pin!(self.flusher.clone().run()).poll(&mut Context::from_waker(Waker::noop()));
    }

    /// After each step: removes connections that the room has closed, and checks that the room has
    /// the expected seats.
    pub(super) fn settle(&mut self) {
        for who in 0..self.clients.len() {
            if self.clients[who].line.as_ref().is_some_and(|line| line.outbox.cause().is_some()) {
                self.read(who);
                assert!(self.clients[who].line.is_none(), "a closed connection says so");
                self.notice();
            }
        }
        assert_eq!(self.state.seat_count(), self.seats.len());
    }

    /// Every client resumes once more, reads to the end, and leaves.
    pub(super) fn end(&mut self) {
        for who in 0..self.clients.len() {
            self.join(who, Claim::Own, true, 0);
            self.read(who);
        }
        for who in 0..self.clients.len() {
            self.read(who);
            self.leave(who);
        }
        while !self.unnoticed.is_empty() {
            self.notice();
        }
        assert_eq!((self.state.seat_count(), self.delivery.is_held()), (0, self.delivery.is_held()));
        assert!(self.state.is_over(self.now.instant + Duration::from_secs(3600)), "nobody is left, spectators neither");
    }
}
