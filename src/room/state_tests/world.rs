//! Owns a room under test with its clients, a manual clock, and a second opinion on what the room must do.
//! Called by the property tests in `state_tests`.

use std::{
    collections::BTreeMap,
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Waker},
    time::{Duration, Instant},
};

use send_wrapper::SendWrapper;
use serde_json::{Value, json};

use super::{
    super::{
        delivery::{Delivery, WelcomeTerms},
        effect::{Effect, Entry},
        history::{Bounds, Event, History},
        logic::{Rejection, Request, RoomLogic},
        messages::{Act, Action, Join, Role},
        relay::Relay,
        state::RoomState,
        turn::Turn,
    },
    Terms,
    client::{Client, Line, Logged, Wire, merge_patch},
};
use crate::{
    clock::Now,
    config::Config,
    observe::metrics::Metrics,
    protocol::{Cause, GameId, PlayerId, RawJson},
    ws::{Flusher, Outbox},
};

const EPOCH: &str = "this-epoch";
const GRACE: Duration = Duration::from_millis(1000);
const OUTBOX_BYTES: usize = 2000;
const SPECTATOR: usize = 3;

/// What a joining client says of its past.
#[derive(Debug, Clone, Copy)]
pub enum Claim {
    Nothing,
    Own,
    /// Its own session, but this much more than one past what the room has reached.
    Ahead(u64),
    OtherEpoch,
    Guess,
}

#[derive(Debug, Clone, Copy)]
pub enum Id {
    /// This much above the last one.
    Next(u64),
    /// This much below or at the last one.
    Repeat(u64),
    None,
}

/// A seat as it should be.
#[derive(Default)]
struct Seat {
    connection: Option<u64>,
    secret: Option<String>,
    last_id: u64,
    away_since: Option<Instant>,
}

pub struct World {
    state: RoomState,
    delivery: Delivery,
    flusher: Rc<Flusher>,
    terms: Terms,
    now: Now,
    connections: u64,
    log: Vec<Logged>,
    document: Value,
    changed_at: u64,
    seats: BTreeMap<PlayerId, Seat>,
    clients: [Client; 4],
    /// Sockets that are gone without the server's knowledge.
    unnoticed: Vec<(u64, Entry)>,
    volatile: u64,
    verdicts: Vec<&'static str>,
}

/// Uses everything a logic may do.
struct Talkative;

impl RoomLogic for Talkative {
    fn join(&mut self, turn: &mut Turn<'_>, player: &PlayerId) {
        let card = turn.random_below(52);
        turn.send_to(std::slice::from_ref(player), &json!({ "card": card }));
        turn.patch(json!({ "players": turn.players().len() }));
    }

    fn leave(&mut self, turn: &mut Turn<'_>, player: &PlayerId) {
        turn.patch(json!({ "players": turn.players().len(), "gone": { player.as_str(): true } }));
    }

    fn message(&mut self, turn: &mut Turn<'_>, request: &Request) -> Result<(), Rejection> {
        match request.data.as_str() {
            "1" => turn.hide_request(),
            "2" => turn.send(&"said of what is refused"),
            "3" => turn.send_to(&turn.players(), &"to those who are here"),
            _ => {}
        }
        turn.patch(json!({ "said": request.data.decode::<Value>().unwrap_or_default() }));
        if request.data.as_str() == "2" { Err(Rejection::new("refused", "two is refused")) } else { Ok(()) }
    }

    fn patch(&mut self, _: &mut Turn<'_>, _: &Request) -> Result<(), Rejection> {
        Ok(())
    }

    fn tick(&mut self, turn: &mut Turn<'_>) {
        turn.patch(json!({ "ticked": turn.now_ms() }));
    }

    fn tick_interval(&self) -> Option<Duration> {
        Some(Duration::from_millis(300))
    }
}

fn entry(who: usize) -> Entry {
    match who {
        SPECTATOR => Entry::Spectator,
        _ => Entry::Player(player(who)),
    }
}

fn player(who: usize) -> PlayerId {
    PlayerId::parse(["alice", "bob", "carol", "watcher"][who]).expect("an id")
}

impl World {
    pub fn new(terms: Terms) -> Self {
        let mut config = Config::default();
        config.room.reconnect_grace = GRACE;
        config.room.presence_limit = terms.presence_limit;
        let config = Arc::new(config);
        let game = GameId::parse("game").expect("an id");
        let now = Now::read();
        let logic: Box<dyn RoomLogic> = if terms.talkative { Box::new(Talkative) } else { Box::new(Relay) };
        let bounds =
            Bounds { max_events: terms.history_events, max_bytes: usize::MAX, max_age: Duration::from_secs(1_000_000) };
        let welcome = WelcomeTerms { game: game.clone(), epoch: EPOCH.into(), config: config.clone() };
        Self {
            state: RoomState::new(game, EPOCH.into(), logic, config, 7, now),
            delivery: Delivery::new(History::new(bounds), terms.holds, welcome),
            flusher: Flusher::new(Metrics::new("test").shard()),
            terms,
            now,
            connections: 0,
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

    pub fn verdicts(&self) -> &[&'static str] {
        &self.verdicts
    }

    pub fn join(&mut self, who: usize, claim: Claim, authenticated: bool, keep: usize) {
        self.abandon(who, keep);
        let client = &mut self.clients[who];
        let reached = self.log.len() as u64;
        let (session, seen) = match claim {
            Claim::Nothing => (None, None),
            Claim::Own => (client.session.clone(), Some(client.seen)),
            Claim::Ahead(by) => (client.session.clone(), Some(reached + 1 + by)),
            Claim::OtherEpoch => (Some("other-epoch.secret".into()), Some(client.seen)),
            Claim::Guess => (Some(format!("{EPOCH}.guess")), Some(client.seen)),
        };
        let this_epoch = session.as_deref().map(|session| session.starts_with(&format!("{EPOCH}.")));
        let seat = self.seats.get(&player(who)).filter(|_| who != SPECTATOR);
        let is_own = match (who, seat) {
            (SPECTATOR, _) => this_epoch == Some(true),
            (_, seat) => session.is_some() && seat.is_some_and(|seat| seat.secret == session),
        };
        let refused = !is_own && !authenticated && seat.is_some_and(|seat| seat.connection.is_some());
        self.connections += 1;
        let connection = self.connections;
        let wire = Rc::<Wire>::default();
        let outbox = Outbox::new(Box::new(wire.clone()), self.flusher.clone(), OUTBOX_BYTES);
        let mut effects = Vec::new();
        let join = Join {
            connection,
            player: player(who),
            role: if who == SPECTATOR { Role::Spectator } else { Role::Player },
            session: session.clone(),
            seen,
            authenticated,
            outbox: SendWrapper::new(outbox.clone()),
        };
        let joined = self.state.join(join, self.now, &mut effects);
        if refused {
            assert_eq!(joined, Err(Cause::AlreadyConnected));
            assert!(effects.is_empty());
            return;
        }
        assert_eq!(joined, Ok(()));
        if who != SPECTATOR {
            let seat = self.seats.entry(player(who)).or_default();
            (seat.connection, seat.away_since) = (Some(connection), None);
        }
        // What comes with the arrival is in the log before the welcome; what the logic says to it comes behind.
        let welcome = effects.iter().position(|effect| matches!(effect, Effect::Enter { .. })).expect("a welcome");
        let behind = effects.split_off(welcome);
        self.carry_out(effects);
        let (newest, kept) = (self.log.len() as u64, self.terms.history_events as u64);
        let (seen, gone) = (seen.unwrap_or(0), newest.saturating_sub(kept));
        let verdict = match (is_own, this_epoch) {
            (true, _) if seen > reached => "reset",
            (true, _) if seen < gone => "snapshot",
            (true, _) => "continuous",
            (false, Some(false)) => "reset",
            (false, _) => "new",
        };
        self.verdicts.push(verdict);
        let over = self.seats.len() > self.terms.presence_limit;
        let status = |seat: &Seat| if seat.connection.is_some() { "joined" } else { "away" };
        let players = self.seats.iter().map(|(name, seat)| (name.as_str().to_owned(), json!(status(seat))));
        let seat = self.seats.get(&player(who)).filter(|_| who != SPECTATOR);
        let expected = json!({
            "protocol": 1,
            "epoch": EPOCH,
            "resume": verdict,
            "lost": if verdict == "snapshot" { json!([seen + 1, gone]) } else { Value::Null },
            "seq": newest,
            "last_id": seat.map_or(0, |seat| seat.last_id),
            "players": if over { json!({}) } else { players.collect::<serde_json::Map<_, _>>().into() },
            "player_count": if over { json!(self.seats.len()) } else { Value::Null },
            "state": if verdict == "continuous" { Value::Null } else { self.document.clone() },
            "session": session.filter(|_| is_own),
        });
        let Some(Effect::Enter { draft, .. }) = behind.first() else { panic!("a welcome") };
        let secret = draft.session.clone();
        if let Some(seat) = self.seats.get_mut(&player(who)).filter(|_| who != SPECTATOR) {
            seat.secret = Some(secret);
        }
        self.carry_out(behind);
        self.clients[who].line = Some(Line { connection, entry: entry(who), outbox, wire, expected, closed: None });
    }

    pub fn cut(&mut self, who: usize, keep: usize, noticed: bool) {
        self.abandon(who, keep);
        if noticed {
            self.notice();
        }
    }

    /// The client lets go of its socket, having read `keep` frames more.
    fn abandon(&mut self, who: usize, keep: usize) {
        let client = &mut self.clients[who];
        client.hear_some(keep, &self.log);
        if let Some(line) = client.line.take() {
            self.unnoticed.push((line.connection, line.entry));
        }
    }

    pub fn notice(&mut self) {
        if let Some((connection, entry)) = self.unnoticed.pop() {
            self.detach(connection, &entry);
        }
    }

    fn detach(&mut self, connection: u64, entry: &Entry) {
        if let Entry::Player(player) = entry
            && let Some(seat) = self.seats.get_mut(player).filter(|seat| seat.connection == Some(connection))
        {
            (seat.connection, seat.away_since) = (None, Some(self.now.instant));
        }
        self.run(|state, now, effects| state.detach(connection, entry, now, effects));
    }

    pub fn stall(&mut self, who: usize, bytes: usize) {
        if let Some(line) = &self.clients[who].line {
            line.wire.room.set(bytes);
        }
    }

    /// The client reads all there is; if it still is a member, nothing may be missing.
    pub fn read(&mut self, who: usize) {
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

    pub fn send(&mut self, who: usize, id: Id, to: Option<u8>, what: u8) {
        let Some(connection) = self.line(who) else { return };
        let (id, repeated) = self.id(who, id);
        let to = to.map(|mask| (0..3).filter(|other| mask & (1 << other) != 0).map(player).collect());
        let data = RawJson::from_serialize(&what);
        let refused = self.terms.talkative && what == 2;
        self.act(connection, who, Action::Send { id, data, to }, repeated, refused);
    }

    pub fn patch(&mut self, who: usize, id: Id, field: u8, value: u8, stale: bool) {
        let Some(connection) = self.line(who) else { return };
        let (id, repeated) = self.id(who, id);
        let value = [json!(null), json!(self.log.len()), json!({ "x": who }), json!({ "x": null, "y": [1] })]
            [usize::from(value)]
        .clone();
        let patch = RawJson::from_serialize(&json!({ format!("field-{field}"): value }));
        let stale = stale && self.changed_at > 0;
        let if_seq = Some(if stale { self.changed_at - 1 } else { self.changed_at });
        self.act(connection, who, Action::Patch { id, patch, if_seq }, repeated, stale);
    }

    /// S2: a repeated id is acknowledged and nothing else, what is refused leaves no trace, the rest is logged first.
    fn act(&mut self, connection: u64, who: usize, action: Action, repeated: bool, refused: bool) {
        let mut effects = Vec::new();
        self.state.act(Act { connection, player: player(who), action }, self.now, &mut effects);
        match (repeated, refused) {
            (true, _) => assert!(matches!(effects[..], [Effect::Ack { .. }])),
            (false, true) => assert!(matches!(effects[..], [Effect::Reply { .. }])),
            (false, false) => assert!(matches!(effects[0], Effect::Event(_))),
        }
        self.carry_out(effects);
    }

    pub fn volatile(&mut self, who: usize, name: u8) {
        let Some(connection) = self.line(who) else { return };
        self.volatile += 1;
        let data = RawJson::from_serialize(&self.volatile);
        let action = Action::Volatile { name: name.to_string(), data, to: None };
        self.run(|state, now, effects| state.act(Act { connection, player: player(who), action }, now, effects));
    }

    pub fn leave(&mut self, who: usize) {
        let Some(connection) = self.line(who) else { return };
        self.seats.remove(&player(who)).filter(|_| who != SPECTATOR);
        let reached = self.log.len();
        self.run(|state, now, effects| state.leave(connection, &entry(who), now, effects));
        let client = &mut self.clients[who];
        let line = client.line.as_ref().expect("checked");
        line.wire.room.set(usize::MAX);
        line.outbox.flush();
        client.hear_some(usize::MAX, &self.log);
        assert_eq!(client.line.take().and_then(|line| line.closed), Some(1000));
        if who != SPECTATOR && self.seats.len() <= self.terms.presence_limit {
            assert!(client.got.contains(&(reached as u64 + 1)), "the last event is its own left");
        }
    }

    pub fn wait(&mut self, ms: u64) {
        self.now = self.now.later(Duration::from_millis(ms));
        let now = self.now.instant;
        self.seats.retain(|_, seat| seat.away_since.is_none_or(|since| since + GRACE > now));
        while self.state.next_deadline().is_some_and(|due| due <= now) && !self.state.is_over(now) {
            self.run(RoomState::tick);
        }
    }

    fn run(&mut self, change: impl FnOnce(&mut RoomState, Now, &mut Vec<Effect>)) {
        let mut effects = Vec::new();
        change(&mut self.state, self.now, &mut effects);
        self.carry_out(effects);
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            if let Effect::Event(event) = &effect {
                self.event(event);
            }
            if let Some(verdict) = self.delivery.deliver(effect) {
                assert_eq!(Some(&verdict.name()), self.verdicts.last());
            }
        }
        self.turn();
    }

    /// The log has no gap, and no id twice.
    fn event(&mut self, event: &Event) {
        let frame = &event.frame;
        let header = if frame[1] == 126 { 4 } else { 2 };
        let text: Value = serde_json::from_slice(&frame[header..]).expect("frames are JSON");
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

    /// The end of an event-loop turn: outboxes with something to write are written once.
    fn turn(&self) {
        let _ = pin!(self.flusher.clone().run()).poll(&mut Context::from_waker(Waker::noop()));
    }

    /// After each happening: connections that the room closed are gone, and the room agrees on who has a seat.
    pub fn settle(&mut self) {
        for who in 0..self.clients.len() {
            if self.clients[who].line.as_ref().is_some_and(|line| line.outbox.cause().is_some()) {
                self.read(who);
                assert!(self.clients[who].line.is_none(), "a closed connection says so");
                self.notice();
            }
        }
        assert_eq!(self.state.seat_count(), self.seats.len());
    }

    /// Everybody resumes once more and reads to the end, then leaves.
    pub fn end(&mut self) {
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
