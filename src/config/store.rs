//! Owns the settings of the store (`StoreConfig`): how durable each game is, and where its log
//! lives (D1, D2). The store and the rooms work by them.

use std::{path::PathBuf, time::Duration};

use super::{
    prefix::{self, Prefixed},
    reader::SettingReader,
    table,
};

/// The name of the operator key's file in the data directory.
pub(crate) const OPERATOR_KEY_FILE: &str = "operator.key";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreConfig {
    /// The directory of the embedded store; relative to the working directory. It need not exist.
    pub data_dir: PathBuf,
    /// `DATA_DIR` is unset: on a hosted platform the next deploy deletes the directory.
    pub data_dir_is_default: bool,
    /// How long a starting process waits for another one to release `data_dir`, at most an hour.
    /// Zero: not at all.
    pub data_dir_timeout: Duration,
    /// Of games that no entry of `games` is about; ask [`StoreConfig::durability`].
    pub default: Durability,
    /// Longest prefix first: the first that matches a game's name is the one.
    pub games: Vec<DurabilityPrefix>,
}

/// What an event has survived before anybody sees it (D1). Greater is safer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// Nothing: rooms live in the process.
    Memory,
    /// The death of the process at any instant.
    Journal,
    /// The death of the machine as well.
    Sync,
}

impl Durability {
    /// The word of `DURABILITY`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Journal => "journal",
            Self::Sync => "sync",
        }
    }
}

/// Games whose name begins with `prefix` are as durable as `durability` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DurabilityPrefix {
    pub prefix: String,
    pub durability: Durability,
}

impl StoreConfig {
    /// Of the game of this name.
    pub fn durability(&self, game: &str) -> Durability {
        let entry = self.games.iter().find(|entry| game.starts_with(&entry.prefix));
        entry.map_or(self.default, |entry| entry.durability)
    }

    /// Where the operator key of development mode is kept (A10a).
    pub fn operator_key_file(&self) -> PathBuf {
        self.data_dir.join(OPERATOR_KEY_FILE)
    }

    /// Whether there can be a game that is to survive the process.
    pub fn needs_disk(&self) -> bool {
        let games = self.games.iter().map(|entry| entry.durability);
        games.chain([self.default]).any(|durability| durability != Durability::Memory)
    }
}

/// The words of `DURABILITY`, as its kind in the table lists them.
fn parse(word: &str) -> Result<Durability, String> {
    match word.to_ascii_lowercase().as_str() {
        "journal" => Ok(Durability::Journal),
        "memory" => Ok(Durability::Memory),
        "sync" => Ok(Durability::Sync),
        _ => Err("asks for none of the allowed words".to_owned()),
    }
}

pub(super) fn store(reader: &mut SettingReader<'_>) -> StoreConfig {
    let games = prefix::by_prefix(reader, &table::GAME_DURABILITY, parse).into_iter();
    StoreConfig {
        data_dir: reader.text(&table::DATA_DIR).unwrap_or_default().into(),
        data_dir_is_default: !reader.is_set(&table::DATA_DIR),
        data_dir_timeout: reader.get(&table::DATA_DIR_TIMEOUT),
        default: reader.parsed(&table::DURABILITY, parse).unwrap_or(Durability::Journal),
        games: games.map(|Prefixed { prefix, value }| DurabilityPrefix { prefix, durability: value }).collect(),
    }
}
