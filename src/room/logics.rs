//! Owns which logic a game gets: the logics by name, and the prefixes of game names that select
//! them.

use std::{collections::BTreeMap, sync::Arc};

use super::{demo_table::DemoTable, logic::RoomLogic, relay::Relay, tic_tac_toe::TicTacToe};
use crate::protocol::GameId;

/// Makes the logic of a new or restarted room.
pub(super) type LogicFactory = Arc<dyn Fn(&GameId) -> Box<dyn RoomLogic> + Send + Sync>;

/// Selects a game's logic by the longest matching prefix of its name; `relay` if none matches.
#[derive(Clone)]
pub(crate) struct Logics {
    factories: BTreeMap<String, LogicFactory>,
    prefixes: Vec<Route>,
    default: LogicFactory,
}

#[derive(Clone)]
struct Route {
    prefix: String,
    logic: String,
    factory: LogicFactory,
}

impl Logics {
    /// The name of the default logic.
    pub(crate) const RELAY: &'static str = "relay";

    /// # Panics
    /// Never: this function adds `relay`.
    pub(crate) fn new() -> Self {
        let relay: LogicFactory = Arc::new(|_| Box::new(Relay));
        let tic_tac_toe: LogicFactory = Arc::new(|_| Box::new(TicTacToe));
        let table: LogicFactory = Arc::new(|_| Box::new(DemoTable));
        let factories = BTreeMap::from([
            (Self::RELAY.into(), relay.clone()),
            ("tic-tac-toe".into(), tic_tac_toe),
            ("table".into(), table),
        ]);
        Self { factories, prefixes: Vec::new(), default: relay }
    }

    /// Adds a logic under a name that `GAME_LOGICS` can use.
    pub(crate) fn register(&mut self, name: &str, factory: LogicFactory) {
        self.factories.insert(name.into(), factory);
    }

    /// Gives games whose name begins with `prefix` the logic called `name`.
    ///
    /// # Errors
    /// There is no such logic. The message lists the existing ones.
    pub(crate) fn route(&mut self, prefix: &str, name: &str) -> Result<(), String> {
        let Some(factory) = self.factories.get(name) else {
            let known: Vec<&str> = self.factories.keys().map(String::as_str).collect();
            return Err(format!("there is no room logic {name:?}; there are {}", known.join(", ")));
        };
        self.prefixes.push(Route { prefix: prefix.into(), logic: name.into(), factory: factory.clone() });
        self.prefixes.sort_by_key(|route| std::cmp::Reverse(route.prefix.len()));
        Ok(())
    }

    /// Makes a new logic for this game.
    pub(crate) fn create(&self, game: &GameId) -> Box<dyn RoomLogic> {
        self.route_of(game).map_or(&self.default, |route| &route.factory)(game)
    }

    /// Returns the name of this game's logic.
    pub(crate) fn name(&self, game: &GameId) -> &str {
        self.route_of(game).map_or(Self::RELAY, |route| &route.logic)
    }

    fn route_of(&self, game: &GameId) -> Option<&Route> {
        self.prefixes.iter().find(|route| game.as_str().starts_with(&route.prefix))
    }
}

impl Default for Logics {
    fn default() -> Self {
        Self::new()
    }
}
