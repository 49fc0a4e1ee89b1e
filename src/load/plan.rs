//! Owns what a load does: the options checked together, and which player does what.

use std::{net::IpAddr, thread, time::Duration};

use super::{LoadOptions, check::MAX_NUMBER, target::LoadTarget, tokens::PlayerTokens};
use crate::{
    config::{Config, Secret},
    protocol::GameId,
};

/// Bounds what the members of all rooms remember of their senders: 4 bytes each.
const MAX_REMEMBERED: u128 = 1 << 28;
const MAX_PLAYERS: usize = 1_000_000;

#[derive(Debug)]
pub(super) struct LoadPlan {
    pub options: LoadOptions,
    pub target: LoadTarget,
    /// Distinguishes the rooms of this run from those of others.
    pub run: String,
    /// Players of each room that send.
    pub senders: usize,
    /// Nanoseconds between two messages of a sender; `None`: nobody sends.
    pub interval: Option<u64>,
    pub threads: usize,
    pub tokens: PlayerTokens,
    /// What the server's `/metrics` may want.
    pub operator: Option<Secret>,
}

/// What a player does, by its place among all players.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Habits {
    pub sends: bool,
    pub is_slow: bool,
    pub drops: bool,
}

impl LoadPlan {
    /// # Errors
    /// A sentence that states which option is wrong, and why.
    pub(super) fn new(mut options: LoadOptions, config: &Config) -> Result<Self, String> {
        let target = LoadTarget::parse(&options.url)?;
        options.measured = options.soak.unwrap_or(options.measured);
        if options.rooms == 0 || options.players == 0 {
            return Err("--rooms and --players must be at least 1".to_owned());
        }
        let players = options.rooms.checked_mul(options.players).filter(|players| *players <= MAX_PLAYERS);
        players.ok_or_else(|| format!("--rooms times --players must be at most {MAX_PLAYERS}"))?;
        let senders = options.senders.unwrap_or(options.players);
        if senders > options.players {
            return Err(format!("--senders {senders} is more than --players {}", options.players));
        }
        if options.at.len() != options.run.len() {
            return Err("each --at needs a --run, and each --run an --at".to_owned());
        }
        if let Some(at) = options.at.iter().find(|at| **at >= options.measured) {
            return Err(format!("--at {at:?} is not before the end of the measuring, {:?}", options.measured));
        }
        if options.slow + options.droppers > 1.0 {
            return Err("--slow and --droppers are together more than all players".to_owned());
        }
        let is_idle = options.rate == 0.0 || senders == 0;
        let interval = (!is_idle).then(|| (1e9 / options.rate) as u64);
        let remembered = options.rooms as u128 * options.players as u128 * senders as u128;
        if !is_idle && remembered > MAX_REMEMBERED {
            return Err(format!(
                "every member remembers every sender, which takes {} MiB here; use fewer --senders",
                remembered * 4 / (1024 * 1024)
            ));
        }
        let time = options.ramp + options.join_timeout + options.warmup + options.measured;
        if options.rate * time.as_secs_f64() > f64::from(MAX_NUMBER) {
            return Err("--rate and --for give a sender more than 2 billion messages".to_owned());
        }
        GameId::parse(&format!("{}-00000000-{}", options.prefix, options.rooms))
            .map_err(|error| format!("--prefix {:?} gives no name of a room: {error}", options.prefix))?;
        let threads = match options.threads {
            0 => thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2)),
            threads => threads,
        };
        let lifetime = time + options.settle + Duration::from_secs(600);
        let tokens = PlayerTokens::new(&options, config, lifetime)?;
        Ok(Self {
            target,
            run: format!("{:08x}", fastrand::u32(..)),
            senders: if is_idle { 0 } else { senders },
            interval,
            threads: threads.min(options.rooms).min(256),
            tokens,
            operator: config.gate.auth.api_secret.clone(),
            options,
        })
    }

    pub(super) fn players(&self) -> usize {
        self.options.rooms * self.options.players
    }

    pub(super) fn game(&self, room: usize) -> String {
        format!("{}-{}-{room}", self.options.prefix, self.run)
    }

    /// Shares are spread evenly over all players, so that rooms differ by one at most.
    pub(super) fn habits(&self, room: usize, player: usize) -> Habits {
        let place = room * self.options.players + player;
        let among = |share: f64, before: f64| {
            let count = |end: usize, share: f64| (end as f64 * share).floor() as u64;
            let both = count(place + 1, share + before) - count(place, share + before);
            let first = count(place + 1, before) - count(place, before);
            both > first
        };
        Habits {
            sends: player < self.senders,
            is_slow: among(self.options.slow, 0.0),
            drops: among(self.options.droppers, self.options.slow),
        }
    }

    /// The address that a player connects from.
    pub(super) fn from(&self, place: usize) -> Option<IpAddr> {
        let from = &self.options.from;
        (!from.is_empty()).then(|| from[place % from.len()])
    }
}
