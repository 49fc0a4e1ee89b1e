//! Owns the measurement of a start after `kill -9`: how soon an old room answers, and what memory
//! unopened rooms cost.

use std::{io, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use tokio::{sync::Semaphore, task::JoinSet, time};

use super::{
    bursts::{Bursts, Seen},
    kit::{server::disk_bytes, socket::Player},
    start,
};

/// Events that each room's only player leaves behind.
const EVENTS: u64 = 5;
/// Rooms that are opened after the restart.
pub const OPENED: usize = 100;
const JOINING: usize = 64;
/// For the bytes of a player that has seen all of them, and for a refused connection at the start.
const PATIENCE: Duration = Duration::from_secs(20);

/// A session that was cut.
#[derive(Clone)]
struct Session {
    secret: String,
    seq: u64,
}

#[derive(Debug, Clone, Copy)]
pub struct Figures {
    /// From the start of the process to the first `welcome`, and to the log line that it listens.
    pub first_welcome: Duration,
    pub listening: Duration,
    /// `VmRSS` after that one, and after [`OPENED`] more.
    pub resident_first: u64,
    pub resident_opened: u64,
    /// How long those took, one after another.
    pub opening: Duration,
    /// Of 1 + [`OPENED`] resumed sessions, those whose verdict was not `continuous`.
    pub not_continuous: usize,
    pub disk_bytes: u64,
}

/// Makes so many rooms (0: none), kills the server and starts it again.
///
/// # Errors
/// When a server does not start or refuses players, or the system shows no `/proc`.
pub async fn run(rooms: usize, durability: &str, directory: &Path) -> io::Result<Figures> {
    let server = start(directory, durability)?;
    let sessions = make_rooms(server.address, rooms).await?;
    drop(server);

    let server = start(directory, durability)?;
    let listening = server.started.elapsed();
    // Rooms from everywhere in the file, not only the oldest.
    let step = (rooms / (OPENED + 1)).max(1);
    let mut not_continuous = 0;
    let mut players = Vec::new();
    let mut resume = async |index: usize| {
        let player = Player::join(server.address, index, &path(index, sessions.get(index))).await?;
        let is_continuous = player.welcome.contains(r#""resume":"continuous""#);
        not_continuous += usize::from(rooms > 0 && !is_continuous);
        players.push(player);
        io::Result::Ok(())
    };
    resume(0).await?;
    let first_welcome = server.started.elapsed();
    let resident_first = server.resident_bytes()?;
    let begun = time::Instant::now();
    for index in 1..=OPENED {
        resume(index * step).await?;
    }
    let (opening, resident_opened) = (begun.elapsed(), server.resident_bytes()?);
    let disk_bytes = disk_bytes(directory);
    Ok(Figures { first_welcome, listening, resident_first, resident_opened, opening, not_continuous, disk_bytes })
}

/// In each room one player joins, sends a little, sees it stored, and is cut.
async fn make_rooms(server: SocketAddr, rooms: usize) -> io::Result<Vec<Session>> {
    let gate = Arc::new(Semaphore::new(JOINING));
    let mut plays = JoinSet::new();
    for index in 0..rooms {
        let gate = gate.clone();
        plays.spawn(async move {
            let _permit = gate.acquire().await;
            let session = time::timeout(PATIENCE, play(server, index)).await??;
            io::Result::Ok((index, session))
        });
    }
    let mut sessions = Vec::new();
    while let Some(played) = plays.join_next().await {
        sessions.push(played.map_err(io::Error::other)??);
    }
    sessions.sort_unstable_by_key(|(index, _)| *index);
    Ok(sessions.into_iter().map(|(_, session)| session).collect())
}

async fn play(server: SocketAddr, index: usize) -> io::Result<Session> {
    let Player { mut reader, writer, welcome } = Player::join(server, index, &path(index, None)).await?;
    let welcome: serde_json::Value = serde_json::from_str(&welcome)?;
    let secret = welcome["session"].as_str().unwrap_or_default().to_owned();
    let mut bursts = Bursts::new(writer);
    bursts.send(EVENTS, 0);
    let (mut seen, mut seq) = (0, 0);
    while seen < EVENTS {
        bursts.send(0, 0);
        reader
            .frames(|frame| {
                if Seen::in_frame(frame).is_some() {
                    seen += 1;
                    let frame: Option<serde_json::Value> = serde_json::from_slice(frame).ok();
                    seq = frame.and_then(|frame| frame["seq"].as_u64()).unwrap_or_default();
                }
            })
            .await?;
    }
    Ok(Session { secret, seq })
}

fn path(index: usize, session: Option<&Session>) -> String {
    let query = session.map_or(String::new(), |session| format!("?session={}&seq={}", session.secret, session.seq));
    format!("/ws/room-{index}/player{query}")
}
