//! Owns `Table`: a room without a server, in which a program tests its own logic.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::RoomState;
use crate::{
    clock::Now,
    config::Config,
    protocol::{EventRequest, GameId, PlayerId, RawJson, Role, RoomRequest},
    room::{
        audience::Audience,
        effect::{Effect, Effects},
        logic::RoomLogic,
        messages::{Act, JoinRequest, Membership},
        text::MemberText,
    },
};

/// The clock of a new table, in milliseconds since 1970.
const START_MS: u64 = 1_700_000_000_000;

/// One room in memory with one logic. The test controls its clock and its randomness.
///
/// ```
/// use innkeeper::logic::{Rejection, Request, RoomLogic, Turn, testing::Table};
/// use serde_json::json;
///
/// struct Counter;
/// impl RoomLogic for Counter {
///     fn message(&mut self, turn: &mut Turn<'_>, _: &Request) -> Result<(), Rejection> {
///         let count = turn.state()["count"].as_u64().unwrap_or(0) + 1;
///         turn.patch(json!({ "count": count }))?;
///         Ok(())
///     }
/// }
///
/// let outcome = Table::new(Counter).join("alice").message("alice", json!("add"));
/// assert_eq!(outcome.error, None);
/// assert_eq!(outcome.events[1].frame["patch"], json!({ "count": 1 }));
/// assert_eq!(outcome.state, json!({ "count": 1 }));
/// ```
pub struct Table {
    state: RoomState,
    now: Now,
    /// The connection of each connected player.
    connections: BTreeMap<PlayerId, u64>,
    last_connection: u64,
    events: Vec<SeenEvent>,
}

/// One event of the room's log.
#[derive(Debug, Clone, PartialEq)]
pub struct SeenEvent {
    /// The frame that members get, such as `{"type":"message","seq":3,"from":"alice","data":…}`.
    pub frame: Value,
    /// The only players that see it; `None`: every member.
    pub only: Option<Vec<PlayerId>>,
}

/// What one call of [`Table`] did.
#[derive(Debug, Clone, PartialEq)]
pub struct TableOutcome {
    /// The `error` frame that the player got instead of an event; `None`: the logic allowed the
    /// request.
    pub error: Option<Value>,
    /// The events that were appended, in order.
    pub events: Vec<SeenEvent>,
    /// The room's document afterwards.
    pub state: Value,
}

impl Table {
    /// Makes a new room of the game `table` with default settings.
    ///
    /// # Panics
    /// Never: `table` is a game's name.
    #[must_use]
    pub fn new(logic: impl RoomLogic) -> Self {
        Self::with_game(logic, "table", 7)
    }

    /// Makes a new room of this game. `seed` determines what [`super::super::Turn::random_below`]
    /// returns.
    ///
    /// # Panics
    /// If `game` is not a valid game name (P1).
    #[must_use]
    pub fn with_game(logic: impl RoomLogic, game: &str, seed: u64) -> Self {
        let game = GameId::parse(game).unwrap_or_else(|error| panic!("{game:?}: {error}"));
        let now = Now { instant: Instant::now(), unix_ms: START_MS };
        let config = Arc::new(Config::default());
        Self {
            state: RoomState::new(game, "table".into(), Box::new(logic), config, seed, now),
            now,
            connections: BTreeMap::new(),
            last_connection: 0,
            events: Vec::new(),
        }
    }

    /// The player takes a seat, or returns to the one it has.
    ///
    /// # Panics
    /// If `player` is not a valid player name (P1).
    pub fn join(&mut self, player: &str) -> &mut Self {
        let player = id(player);
        self.last_connection += 1;
        let connection = self.last_connection;
        let join = JoinRequest {
            connection,
            player: player.clone(),
            role: Role::Player,
            session: None,
            seen: None,
            authenticated: true,
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            must_replace: false,
            name: None,
            wants_names: false,
        };
        self.connections.insert(player, connection);
        // Cannot fail: a valid token always gets the seat, and a `Table` has no bans.
        self.run(|state, effects| state.join(join, effects).unwrap_or_default());
        self
    }

    /// The player gives up its seat. Does nothing for a player without a connection.
    ///
    /// # Panics
    /// If `player` is not a valid player name (P1).
    pub fn leave(&mut self, player: &str) -> &mut Self {
        let player = id(player);
        if let Some(connection) = self.connections.remove(&player) {
            self.run(|state, effects| state.leave(connection, &Membership::Player(player), effects));
        }
        self
    }

    /// The player's connection is lost; its seat stays for the grace of `RECONNECT_GRACE`.
    ///
    /// # Panics
    /// If `player` is not a valid player name (P1).
    pub fn away(&mut self, player: &str) -> &mut Self {
        let player = id(player);
        if let Some(connection) = self.connections.remove(&player) {
            self.run(|state, effects| state.detach(connection, &Membership::Player(player), effects));
        }
        self
    }

    /// The player sends a message to everyone.
    ///
    /// # Panics
    /// If the player has not joined.
    pub fn message(&mut self, player: &str, data: Value) -> TableOutcome {
        self.append(player, EventRequest::Message { data: RawJson::from_serialize(&data), to: None })
    }

    /// The player sends a message to these members.
    ///
    /// # Panics
    /// If the player has not joined, or one of `to` is not a valid player name (P1).
    pub fn message_to(&mut self, player: &str, to: &[&str], data: Value) -> TableOutcome {
        let to = Some(to.iter().map(|name| id(name)).collect());
        self.append(player, EventRequest::Message { data: RawJson::from_serialize(&data), to })
    }

    /// The player patches the state (RFC 7396).
    ///
    /// # Panics
    /// If the player has not joined.
    pub fn patch(&mut self, player: &str, patch: Value) -> TableOutcome {
        self.append(player, EventRequest::Patch { patch: RawJson::from_serialize(&patch), if_seq: None })
    }

    /// Advances the clock. Ticks of the logic run, and graces end, each at its own time.
    pub fn pass(&mut self, time: Duration) -> TableOutcome {
        let end = self.now.instant + time;
        let mut outcome = self.run(|_, _| {});
        while let Some(due) = self.state.next_deadline().filter(|due| *due <= end && *due > self.now.instant) {
            self.advance(due);
            outcome.events.extend(self.run(RoomState::tick).events);
        }
        self.advance(end);
        TableOutcome { state: self.state(), ..outcome }
    }

    /// Returns the room's document.
    #[must_use]
    pub fn state(&self) -> Value {
        serde_json::from_str(self.state.document.text().get()).unwrap_or_default()
    }

    /// Returns all events so far, in order.
    #[must_use]
    pub fn events(&self) -> &[SeenEvent] {
        &self.events
    }

    fn append(&mut self, player: &str, event: EventRequest) -> TableOutcome {
        let player = id(player);
        let connection = *self.connections.get(&player).unwrap_or_else(|| panic!("{player} has not joined"));
        let request = RoomRequest::Append { id: None, event };
        self.run(|state, effects| state.act(Act { connection, player, request }, effects))
    }

    fn run(&mut self, call: impl FnOnce(&mut RoomState, &mut Effects)) -> TableOutcome {
        let (mut effects, mut error, mut events) = (Effects::at(self.now, 0), None, Vec::new());
        call(&mut self.state, &mut effects);
        for effect in effects.into_list() {
            match effect {
                Effect::Event(event) => events.push(SeenEvent {
                    frame: json(&event.text),
                    only: match event.audience {
                        Audience::Everyone => None,
                        Audience::Only(players) => Some(players.to_vec()),
                    },
                }),
                Effect::Reply { text, .. } => error = Some(json(&text)),
                _ => {}
            }
        }
        self.events.extend_from_slice(&events);
        TableOutcome { error, events, state: self.state() }
    }

    fn advance(&mut self, to: Instant) {
        self.now.unix_ms += to.saturating_duration_since(self.now.instant).as_millis() as u64;
        self.now.instant = to;
    }
}

fn id(player: &str) -> PlayerId {
    PlayerId::parse(player).unwrap_or_else(|error| panic!("{player:?}: {error}"))
}

fn json(text: &MemberText) -> Value {
    serde_json::from_slice(text.json()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::room::{Rejection, Request, Turn, tic_tac_toe::TicTacToe};

    /// Adds the numbers that players send, twice each, and sends the sum every second. Refuses any
    /// other message.
    struct Sum;

    impl RoomLogic for Sum {
        fn message(&mut self, turn: &mut Turn<'_>, request: &Request) -> Result<(), Rejection> {
            let add: u64 = request.data.decode().map_err(|_| Rejection::new("no_number", "send a number"))?;
            for _ in 0..2 {
                let sum = turn.state()["sum"].as_u64().unwrap_or(0) + add;
                turn.patch(json!({ "sum": sum }))?;
            }
            Ok(())
        }

        fn tick(&mut self, turn: &mut Turn<'_>) {
            let sum = turn.state()["sum"].clone();
            turn.send(&json!({ "at": turn.now_ms(), "sum": sum }));
        }

        fn tick_interval(&self) -> Option<Duration> {
            Some(Duration::from_secs(1))
        }
    }

    #[test]
    fn a_logic_reads_what_it_has_patched_in_the_same_turn() {
        let outcome = Table::new(Sum).join("alice").message("alice", json!(3));
        let patches: Vec<_> = outcome.events.iter().map(|event| event.frame["patch"]["sum"].clone()).collect();
        assert_eq!(patches, [Value::Null, json!(3), json!(6)], "the message, then both patches");
        assert_eq!(outcome.state, json!({ "sum": 6 }));
    }

    #[test]
    fn a_refused_message_is_an_error_and_no_event_and_ticks_run_by_the_tests_clock() {
        let mut table = Table::new(Sum);
        let refused = table.join("alice").message("alice", json!("three"));
        assert_eq!((&refused.error.expect("an error")["code"], refused.events), (&json!("no_number"), vec![]));
        let passed = table.pass(Duration::from_millis(2500));
        let said: Vec<_> = passed.events.iter().map(|event| event.frame["data"]["at"].clone()).collect();
        assert_eq!(said, [json!(START_MS + 1000), json!(START_MS + 2000)]);
        let ended = table.away("alice").pass(Config::default().room.reconnect_grace);
        let left = ended.events.iter().find(|event| event.frame["status"] == "left").expect("the grace ends");
        assert_eq!(left.frame["reason"], "timeout");
        assert_eq!(table.events()[0].frame["status"], "joined");
    }

    #[test]
    fn the_shipped_rules_play_at_a_table() {
        let mut table = Table::new(TicTacToe);
        assert_eq!(table.join("alice").join("bob").state()["marks"], json!({ "X": "alice", "O": "bob" }));
        let early = table.message("bob", json!({ "move": 0 }));
        assert_eq!(early.error.expect("an error")["code"], "illegal_move");
        assert_eq!(table.message("alice", json!({ "move": 4 })).state["board"][4], "X");
        assert_eq!(table.message_to("alice", &["bob"], json!({ "chat": 1 })).events, []);
    }
}
