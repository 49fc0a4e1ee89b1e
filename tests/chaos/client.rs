//! Owns a correct client of the contract: it resumes after every loss, and sends again what is not
//! known to be applied. Each has a thread, and records what it receives in its `Witness`.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use fastrand::Rng;
use serde_json::Value;

use crate::{
    line::{Failure, Heard, Line},
    script::{self, Script},
    witness::{Witness, number},
};

/// Frames that may be on their way without an answer.
const WINDOW: u64 = 50;
/// The server pings each second: after so long a silence the line is dead, whatever the socket
/// says.
const PATIENCE: Duration = Duration::from_secs(3);
/// Ends that are nobody's fault here: 4000 when an attempt that was given up gets through late.
const RESUMABLE: [u16; 8] = [1001, 1005, 1006, 1012, 1013, 4000, 4008, 4009];

/// What the clients of a run have in common.
pub struct Run {
    pub script: Script,
    pub port: u16,
    pub began: Instant,
    /// The time over which each client spreads its share.
    pub spread: Duration,
    /// Clients that have no first welcome yet.
    pub strangers: AtomicUsize,
    /// Players that have not sent all, or not seen all.
    pub unfinished: AtomicUsize,
    /// Ends the run: something is wrong, or it takes too long.
    pub stop: AtomicBool,
    pub wrong: Mutex<Vec<String>>,
}

impl Run {
    /// Notes what is wrong; the run ends.
    pub fn fail(&self, wrong: String) {
        self.wrong.lock().expect("wrong").push(wrong);
        self.stop.store(true, SeqCst);
    }

    pub fn is_stopped(&self) -> bool {
        self.stop.load(SeqCst)
    }

    pub fn is_finished(&self) -> bool {
        self.unfinished.load(SeqCst) == 0
    }
}

pub struct Client<'a> {
    run: &'a Run,
    room: usize,
    /// `None` is a spectator.
    seat: Option<usize>,
    random: Rng,
    witness: Option<Witness>,
    /// A spectator's earlier lives: it begins anew at times, to see the state.
    past: Vec<Witness>,
    /// The newest `id` that was written to any connection.
    sent: u64,
    /// The next `id` to write to this one.
    next: u64,
    finished: bool,
    /// Connections that were left open when the client moved on, and when it lets go of them.
    left_open: Vec<(Instant, Line)>,
    /// What the server asked for in `going_away`.
    slot: Duration,
    tally: Tally,
}

/// What one client went through.
#[derive(Default)]
pub struct Tally {
    pub resumes: usize,
    /// Close codes, 1006 for none.
    pub ends: BTreeMap<u16, usize>,
}

/// How a conversation ended.
enum End {
    Code(u16),
    /// The client itself moves on; the socket stays open for a while.
    Left,
    Over,
}

impl<'a> Client<'a> {
    pub fn new(run: &'a Run, room: usize, seat: Option<usize>, random: Rng) -> Self {
        Self {
            run,
            room,
            seat,
            random,
            witness: None,
            past: Vec::new(),
            sent: 0,
            next: 1,
            finished: false,
            left_open: Vec::new(),
            slot: Duration::ZERO,
            tally: Tally::default(),
        }
    }

    /// Plays until everybody has seen everything; a spectator asks for the state once more then.
    pub fn play(mut self) -> (Vec<Witness>, Tally) {
        while !self.is_over() {
            self.attend();
        }
        if self.seat.is_none() && !self.run.is_stopped() {
            self.past.extend(self.witness.take());
            while self.witness.is_none() && !self.run.is_stopped() {
                self.attend();
            }
        }
        self.past.extend(self.witness);
        (self.past, self.tally)
    }

    fn is_over(&self) -> bool {
        self.run.is_stopped() || self.run.is_finished()
    }

    /// One connection, and a pause before the next.
    fn attend(&mut self) {
        let end = match Line::open(self.run.port, &self.path()) {
            Ok(mut line) => match self.converse(&mut line) {
                Ok(End::Left) => {
                    let until = Instant::now() + Duration::from_millis(self.random.u64(..3_000));
                    self.left_open.push((until, line));
                    End::Left
                }
                Ok(end) => end,
                Err(wrong) => {
                    let who = self.seat.map_or("a spectator".to_owned(), script::player);
                    self.run.fail(format!("{who} of room {}: {wrong}", self.room));
                    End::Over
                }
            },
            // 503: it drains.
            Err(Failure::Lost | Failure::Refused(503)) => End::Code(1006),
            Err(Failure::Refused(status)) => {
                self.run.fail(format!("refused with {status}"));
                End::Over
            }
        };
        self.left_open.retain(|(until, _)| Instant::now() < *until);
        match end {
            End::Over => return,
            End::Left => *self.tally.ends.entry(0).or_default() += 1,
            End::Code(code) => *self.tally.ends.entry(code).or_default() += 1,
        }
        thread::sleep(std::mem::take(&mut self.slot) + Duration::from_millis(self.random.u64(..100)));
        if self.seat.is_none() && self.random.u32(..4) == 0 {
            self.past.extend(self.witness.take());
        }
    }

    fn path(&self) -> String {
        let name = self.seat.map_or("watcher".to_owned(), script::player);
        let resume = self.witness.as_ref().map(|witness| format!("session={}&seq={}", witness.session, witness.seen));
        let spectate = self.seat.is_none().then(|| "spectate=1".to_owned());
        let query: Vec<_> = resume.into_iter().chain(spectate).collect();
        format!("/ws/room{}/{name}?{}", self.room, query.join("&"))
    }

    fn converse(&mut self, line: &mut Line) -> Result<End, String> {
        let mut welcomed = false;
        while !self.run.is_stopped() {
            match line.hear() {
                Heard::Frame(frame) if !welcomed && frame["type"] == "welcome" => {
                    self.welcome(&frame)?;
                    welcomed = true;
                }
                Heard::Frame(frame) => {
                    if !self.take(&frame, welcomed, line)? {
                        return Ok(End::Code(1006));
                    }
                }
                Heard::Nothing if line.silence() > PATIENCE => return Ok(End::Left),
                Heard::Nothing => {}
                Heard::Closed(code) if RESUMABLE.contains(&code) || (code == 4002 && self.witness.is_none()) => {
                    return Ok(End::Code(code));
                }
                Heard::Closed(code) => return Err(format!("closed with {code}")),
                Heard::Lost => return Ok(End::Code(1006)),
                Heard::Garbage(what) => return Err(format!("the server sent {what}")),
            }
            if !welcomed {
                continue;
            }
            if self.run.is_finished() {
                return Ok(End::Over);
            }
            if !self.speak(line) {
                return Ok(End::Code(1006));
            }
            match self.random.u32(..8_000) {
                0 => return Ok(End::Left),
                // Stops reading for a while.
                1 | 2 => thread::sleep(Duration::from_millis(self.random.u64(..800))),
                _ => {}
            }
        }
        Ok(End::Over)
    }

    fn welcome(&mut self, frame: &Value) -> Result<(), String> {
        match &mut self.witness {
            Some(witness) => {
                let last_id = witness.resume(frame, self.sent)?;
                self.tally.resumes += 1;
                // Both are right: the cautious one is answered with acks for what was applied.
                self.next = if self.random.bool() { last_id } else { witness.applied } + 1;
            }
            None => {
                self.witness = Some(Witness::begin(self.room, self.seat, frame, &self.run.script)?);
                if self.past.is_empty() {
                    self.run.strangers.fetch_sub(1, SeqCst);
                }
            }
        }
        Ok(())
    }

    /// `false`: the connection is lost.
    fn take(&mut self, frame: &Value, welcomed: bool, line: &mut Line) -> Result<bool, String> {
        match (frame["type"].as_str().unwrap_or_default(), &mut self.witness) {
            ("message" | "patch" | "presence", Some(witness)) if welcomed => {
                witness.event(frame, &self.run.script)?;
                let is_done = witness.due == 0 && witness.applied == self.run.script.share;
                if is_done && !self.finished {
                    self.finished = true;
                    self.run.unfinished.fetch_sub(1, SeqCst);
                }
            }
            ("ack", Some(witness)) if welcomed => witness.ack(frame)?,
            ("ping", _) => return Ok(line.say(r#"{"type":"pong"}"#.to_owned()) && line.flush()),
            ("going_away", _) => self.slot = Duration::from_millis(number(frame, "reconnect_after_ms")?),
            ("error", _) if is_before_a_close(frame) => {}
            _ => return Err(format!("unexpected: {frame}")),
        }
        Ok(true)
    }

    /// Sends what is due by now and fits the window; some of it twice. `false`: the connection is
    /// lost.
    fn speak(&mut self, line: &mut Line) -> bool {
        let (Some(seat), Some(witness)) = (self.seat, &self.witness) else { return true };
        if self.run.strangers.load(SeqCst) > 0 {
            // Whoever is not there yet would not see it.
            return true;
        }
        let share = self.run.script.share;
        let part = self.run.began.elapsed().as_secs_f64() / self.run.spread.as_secs_f64();
        let due = ((share as f64 * part) as u64).clamp(1, share);
        let mut wrote = false;
        while self.next <= due.min(witness.applied + WINDOW) {
            let repeats = if self.random.u32(..200) == 0 { 2 } else { 1 };
            // At times an `id` that was applied long ago comes before it, from a network that
            // repeats.
            let old = (self.random.u32(..100) == 0).then(|| witness.applied.saturating_sub(self.random.u64(..60)));
            let ids = old.filter(|id| *id > 0).into_iter().chain(std::iter::repeat_n(self.next, repeats));
            for id in ids {
                self.sent = self.sent.max(id);
                wrote = true;
                if !line.say(self.run.script.deed(self.room, seat, id).frame(id)) {
                    return false;
                }
            }
            self.next += 1;
        }
        !wrote || line.flush()
    }
}

/// The `error` that says why a close follows; every other one means that a request failed.
fn is_before_a_close(frame: &Value) -> bool {
    frame.get("id").is_none()
        && ["heartbeat_timeout", "too_slow", "already_connected"].iter().any(|code| frame["code"] == *code)
}
