//! Owns the command `innkeeper rooms`: it reads the data directory of a stopped server.

use std::io::{self, Write};

use crate::{
    clock::Now,
    hub,
    protocol::GameId,
    room::inspect::{RoomReport, event_lines},
    store::{Log, LogName, Store},
};

/// What to print about the rooms.
#[derive(Debug, Clone)]
pub enum Inspection {
    /// One line per room.
    List,
    /// One room as JSON, including its state.
    Show(String),
    /// The events of one room, or of all rooms, as JSON lines.
    Export(Option<String>),
    /// Checks that every room's log is intact.
    Verify,
}

/// Why an inspection failed.
#[derive(Debug)]
pub enum InspectError {
    /// There is no such room.
    NoSuchGame(String),
    /// The number of damaged rooms; their names have been printed.
    Damaged(usize),
    Store(String),
    Io(io::Error),
}

impl std::fmt::Display for InspectError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoSuchGame(game) => write!(f, "there is no room called {game:?}; `innkeeper rooms list` names them"),
            Self::Damaged(1) => f.write_str("1 room is damaged; it will begin another epoch when it is opened"),
            Self::Damaged(count) => {
                write!(f, "{count} rooms are damaged; they will begin another epoch when they are opened")
            }
            Self::Store(error) => f.write_str(error),
            Self::Io(error) => write!(f, "{error}"),
        }
    }
}

impl From<io::Error> for InspectError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<crate::store::StoreError> for InspectError {
    fn from(error: crate::store::StoreError) -> Self {
        Self::Store(error.0)
    }
}

/// Games are read in batches of this size.
const PORTION: usize = 256;

/// Runs an inspection and prints to `out`.
///
/// # Errors
/// [`InspectError`]. Everything printable has been printed before.
pub fn inspect(store: &mut dyn Store, inspection: &Inspection, out: &mut dyn Write) -> Result<(), InspectError> {
    match inspection {
        Inspection::List => list(store, out),
        Inspection::Show(name) => {
            let (game, log) = find(store, name)?;
            let report = RoomReport::new(game, &log, Now::read());
            let report =
                report.ok_or_else(|| InspectError::Store(format!("the snapshot of {name:?} cannot be read")))?;
            serde_json::to_writer_pretty(&mut *out, &report).map_err(io::Error::from)?;
            Ok(writeln!(out)?)
        }
        Inspection::Export(Some(name)) => {
            let (game, log) = find(store, name)?;
            export(&game, &log, out)
        }
        Inspection::Export(None) => each(store, |game, log| export(&game, &log, out)),
        Inspection::Verify => verify(store, out),
    }
}

fn list(store: &mut dyn Store, out: &mut dyn Write) -> Result<(), InspectError> {
    writeln!(out, "{:>10} {:>8} {:>8} {:>10}  {:<9} GAME", "SEQ", "PLAYERS", "EVENTS", "BYTES", "STATUS")?;
    each(store, |game, log| {
        let status = |is_intact| if is_intact { "ok" } else { "damaged" };
        match RoomReport::new(game.clone(), &log, Now::read()) {
            Some(room) => {
                let (players, status) = (room.players.len(), status(room.is_intact));
                writeln!(
                    out,
                    "{:>10} {players:>8} {:>8} {:>10}  {status:<9} {game}",
                    room.seq, room.events, room.bytes
                )?;
            }
            None => writeln!(out, "{:>10} {:>8} {:>8} {:>10}  {:<9} {game}", "?", "?", "?", "?", status(false))?,
        }
        Ok(())
    })
}

fn verify(store: &mut dyn Store, out: &mut dyn Write) -> Result<(), InspectError> {
    let (mut rooms, mut damaged) = (0, 0);
    each_log(store, |name, log| {
        match name {
            LogName::Bus(bus) if !hub::is_whole(&log) => {
                damaged += 1;
                writeln!(out, "damaged: the event bus {bus}")?;
            }
            LogName::Bus(_) => {}
            LogName::Game(game) => {
                rooms += 1;
                if !RoomReport::new(game.clone(), &log, Now::read()).is_some_and(|room| room.is_intact) {
                    damaged += 1;
                    writeln!(out, "damaged: {game}")?;
                }
            }
        }
        Ok(())
    })?;
    let noun = if rooms == 1 { "room" } else { "rooms" };
    writeln!(out, "{rooms} {noun}, {damaged} damaged")?;
    if damaged == 0 { Ok(()) } else { Err(InspectError::Damaged(damaged)) }
}

fn export(game: &GameId, log: &Log, out: &mut dyn Write) -> Result<(), InspectError> {
    for line in event_lines(game, log) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn find(store: &mut dyn Store, name: &str) -> Result<(GameId, Log), InspectError> {
    let none = || InspectError::NoSuchGame(name.into());
    let game = GameId::parse(name).map_err(|_| none())?;
    let log = store.read(&game.clone().into(), 0)?.ok_or_else(none)?;
    Ok((game, log))
}

/// Visits every room's log, one at a time, by name.
fn each(
    store: &mut dyn Store,
    mut visit: impl FnMut(GameId, Log) -> Result<(), InspectError>,
) -> Result<(), InspectError> {
    each_log(store, |name, log| match name {
        LogName::Game(game) => visit(game, log),
        LogName::Bus(_) => Ok(()),
    })
}

/// As [`each`], including the logs of event buses.
fn each_log(
    store: &mut dyn Store,
    mut visit: impl FnMut(LogName, Log) -> Result<(), InspectError>,
) -> Result<(), InspectError> {
    let mut after: Option<LogName> = None;
    loop {
        let names = store.logs(after.as_ref(), PORTION)?;
        let Some(last) = names.last() else { return Ok(()) };
        after = Some(last.clone());
        for name in names {
            if let Some(log) = store.read(&name, 0)? {
                visit(name, log)?;
            }
        }
    }
}
