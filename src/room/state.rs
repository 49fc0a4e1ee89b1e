//! Owns a room's truth, without actors or sockets: seats, state document, logic, and the next `seq`.
//! Called by the `Room` actor, which carries out the effects a call leaves behind, in order.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{
    document::Document,
    effect::{Draft, Effect, Entry, Resume},
    history::{Audience, Event},
    logic::{Rejection, Request, RoomLogic},
    messages::{Act, Action, Join, Role},
    seats::{Seat, Seats, SecretHash},
    turn::{Emission, Turn},
};
use crate::{
    clock::Now,
    config::Config,
    protocol::{
        Cause, GameId, PlayerId, RawJson, SERVER_SENDER, ServerFrame, error_code,
        server::{Change, LeftReason, players_map, write_message, write_patch, write_volatile},
    },
    ws::json_frame,
};

/// S9: how often a big room tells its size.
const COUNT_INTERVAL: Duration = Duration::from_secs(1);

/// The state of one room.
pub struct RoomState {
    game: GameId,
    /// Names this life of the room (R3); every session secret begins with it.
    epoch: Box<str>,
    seq: u64,
    document: Document,
    seats: Seats,
    spectators: usize,
    logic: Box<dyn RoomLogic>,
    random: fastrand::Rng,
    config: Arc<Config>,
    /// When to tell the number of players, in a room too big to name them (S9).
    count_due: Option<Instant>,
    counted_at: Option<Instant>,
    next_tick: Option<Instant>,
    tick_interval: Option<Duration>,
    /// Since when nobody is here (R6).
    empty_since: Option<Instant>,
}

impl RoomState {
    /// A new room: nobody in it, nothing in its log. `seed` feeds the logic's randomness.
    pub fn new(
        game: GameId,
        epoch: String,
        logic: Box<dyn RoomLogic>,
        config: Arc<Config>,
        seed: u64,
        now: Now,
    ) -> Self {
        let tick_interval = logic.tick_interval();
        Self {
            game,
            epoch: epoch.into(),
            seq: 0,
            document: Document::new(logic.initial_state(), config.room.max_state_bytes),
            seats: Seats::new(config.room.reconnect_grace),
            spectators: 0,
            logic,
            random: fastrand::Rng::with_seed(seed),
            config,
            count_due: None,
            counted_at: None,
            next_tick: None,
            tick_interval,
            empty_since: Some(now.instant),
        }
    }

    pub fn game(&self) -> &GameId {
        &self.game
    }

    pub fn epoch(&self) -> &str {
        &self.epoch
    }

    pub fn tick_interval(&self) -> Option<Duration> {
        self.tick_interval
    }

    /// Seats, away ones included.
    pub fn seat_count(&self) -> usize {
        self.seats.len()
    }

    /// A connection wants in: a new seat, its own seat again (R1), somebody's place (S7), or only to watch (S10).
    ///
    /// # Errors
    /// [`Cause::AlreadyConnected`] when the seat is taken and the claim to it is too weak (S7).
    pub fn join(&mut self, join: Join, now: Now, effects: &mut Vec<Effect>) -> Result<(), Cause> {
        let Join { connection, player, role, session, seen, authenticated, outbox } = join;
        let is_new = role == Role::Player && self.seats.get_mut(&player).is_none();
        let (entry, session, last_id, resume) = match role {
            Role::Spectator => {
                let resume = self.spectator_claim(session.as_deref(), seen);
                self.spectators += 1;
                (Entry::Spectator, session.filter(|_| resume.is_own()), 0, resume)
            }
            Role::Player => {
                let (session, last_id, resume) =
                    self.take_seat(&player, connection, session, seen, authenticated, now, effects)?;
                (Entry::Player(player.clone()), session, last_id, resume)
            }
        };
        // A known secret stays the secret: were it replaced and the welcome lost, the client could never come back.
        let session = match session {
            Some(secret) => secret,
            None => self.new_secret(&player, role),
        };
        self.empty_since = None;
        self.start_ticking(now);
        let over_limit = self.is_over_presence_limit();
        let draft = Draft {
            player,
            role,
            session,
            seq: self.seq,
            last_id,
            players: players_map(&if over_limit { Vec::new() } else { self.seats.statuses() }),
            player_count: over_limit.then(|| self.seats.len()),
            state: RawJson::from_serialize(self.document.value()),
        };
        let newcomer = draft.player.clone();
        effects.push(Effect::Enter { connection, entry, outbox: outbox.take(), resume, draft: Box::new(draft) });
        // Behind the welcome, so that the newcomer sees what the logic has to say to it, its hand of cards say.
        if is_new {
            self.run_logic(now, effects, |logic, turn| logic.join(turn, &newcomer));
        }
        Ok(())
    }

    /// A frame of a player. A connection that does not hold the seat any more is not heard.
    pub fn act(&mut self, act: Act, now: Now, effects: &mut Vec<Effect>) {
        let Act { connection, player, action } = act;
        // A connection without a seat is answered too: a spectator's.
        let last_id = self.seats.held_by(&player, connection).map(|seat| seat.last_id);
        let (id, applied) = match (action, last_id) {
            (Action::Answer(frame), _) => {
                effects.push(Effect::Reply { connection, frame });
                return;
            }
            (_, None) => return,
            (Action::Volatile { name, data, to }, Some(_)) => {
                let key = (player.as_str().into(), name.as_str().into());
                let frame = json_frame(|out| write_volatile(out, player.as_str(), &name, &data));
                effects.push(Effect::Volatile { key, audience: audience(&player, to), frame });
                return;
            }
            (Action::Send { id: Some(id), .. } | Action::Patch { id: Some(id), .. }, Some(last_id))
                if id <= last_id =>
            {
                effects.push(Effect::Ack { connection, player, id });
                return;
            }
            (Action::Send { id, data, to }, Some(_)) => {
                (id, self.message(id, Request { from: player.clone(), data, to }, now, effects))
            }
            (Action::Patch { id, patch, if_seq }, Some(_)) => {
                (id, self.patch(id, Request { from: player.clone(), data: patch, to: None }, if_seq, now, effects))
            }
        };
        match applied {
            Ok(()) => {
                if let (Some(id), Some(seat)) = (id, self.seats.get_mut(&player)) {
                    seat.last_id = id;
                }
            }
            Err(Rejection { code, message }) => {
                let frame = json_frame(|out| ServerFrame::Error { code, message: &message, id }.write(out));
                effects.push(Effect::Reply { connection, frame });
            }
        }
    }

    /// The player gives its seat up, a spectator its place (3.1). Its last event is its own `left`.
    pub fn leave(&mut self, connection: u64, entry: &Entry, now: Now, effects: &mut Vec<Effect>) {
        match entry {
            Entry::Spectator => self.spectator_gone(now),
            Entry::Player(player) => {
                if self.seats.held_by(player, connection).is_some() {
                    self.vacate(player, LeftReason::Leave, now, effects);
                }
            }
        }
        effects.push(Effect::Close { connection, cause: Cause::Left });
    }

    /// A connection is gone; a player's seat is kept for the grace (R4).
    pub fn detach(&mut self, connection: u64, entry: &Entry, now: Now, effects: &mut Vec<Effect>) {
        match entry {
            Entry::Spectator => self.spectator_gone(now),
            Entry::Player(player) => {
                if self.seats.depart(player, connection, now.instant) {
                    self.presence(player, Change::Away, None, now, effects);
                }
            }
        }
        effects.push(Effect::Exit { connection });
    }

    /// Carries out what is due. Call at, or any time after, [`RoomState::next_deadline`].
    pub fn tick(&mut self, now: Now, effects: &mut Vec<Effect>) {
        while let Some(player) = self.seats.expire(now.instant) {
            self.left(&player, LeftReason::Timeout, now, effects);
        }
        if self.next_tick.is_some_and(|due| due <= now.instant) {
            self.next_tick = None;
            self.run_logic(now, effects, |logic, turn| logic.tick(turn));
            self.start_ticking(now);
        }
        if self.count_due.is_some_and(|due| due <= now.instant) {
            self.count_due = None;
            self.counted_at = Some(now.instant);
            let frame = json_frame(|out| {
                ServerFrame::Presence {
                    seq: None,
                    player: None,
                    status: None,
                    reason: None,
                    count: Some(self.seats.len()),
                }
                .write(out);
            });
            effects.push(Effect::Broadcast { frame });
        }
    }

    /// When [`RoomState::tick`] is needed next.
    pub fn next_deadline(&self) -> Option<Instant> {
        let disposal = self.empty_since.map(|since| since + self.config.room.linger);
        [self.seats.next_deadline(), self.count_due, self.next_tick, disposal].into_iter().flatten().min()
    }

    /// R6: nobody has been here for `ROOM_LINGER`.
    pub fn is_over(&self, now: Instant) -> bool {
        self.empty_since.is_some_and(|since| since + self.config.room.linger <= now)
    }

    #[allow(clippy::too_many_arguments)] // one call site; a struct would only rename them
    fn take_seat(
        &mut self,
        player: &PlayerId,
        connection: u64,
        session: Option<String>,
        seen: Option<u64>,
        authenticated: bool,
        now: Now,
        effects: &mut Vec<Effect>,
    ) -> Result<(Option<String>, u64, Resume), Cause> {
        let same_epoch = session.as_deref().is_none_or(|session| self.is_of_this_epoch(session));
        // Before `back` is appended: nobody can have seen that.
        let reached = self.seq;
        let Some(seat) = self.seats.get_mut(player) else {
            let resume = match session {
                None => Resume::New { reason: None },
                Some(_) if same_epoch => Resume::New { reason: Some("session_expired") },
                Some(_) => Resume::Reset { reason: "room_restarted" },
            };
            // The secret is set right after, by `new_secret`.
            let seat = Seat { secret: SecretHash::of(""), last_id: 0, connection: Some(connection) };
            self.seats.insert(player.clone(), seat);
            self.presence(player, Change::Joined, None, now, effects);
            return Ok((None, 0, resume));
        };
        let known = session.filter(|session| seat.secret.matches(session));
        let last_id = seat.last_id;
        match seat.connection {
            Some(_) if known.is_none() && !authenticated => return Err(Cause::AlreadyConnected),
            Some(old) => {
                effects.push(Effect::Close { connection: old, cause: Cause::Replaced });
                self.seats.occupy(player, connection);
            }
            None => {
                self.seats.occupy(player, connection);
                self.presence(player, Change::Back, None, now, effects);
            }
        }
        let resume = match &known {
            Some(_) if seen.is_some_and(|seen| seen > reached) => Resume::Reset { reason: "seq_ahead" },
            // Without a `seq` the client has seen nothing.
            Some(_) => Resume::Own { seen: seen.unwrap_or(0) },
            None if !same_epoch => Resume::Reset { reason: "room_restarted" },
            None => Resume::New { reason: None },
        };
        Ok((known, last_id, resume))
    }

    /// A spectator has no seat to prove; everything it may see is public, so the epoch is proof enough (S10).
    fn spectator_claim(&self, session: Option<&str>, seen: Option<u64>) -> Resume {
        match session {
            None => Resume::New { reason: None },
            Some(session) if self.is_of_this_epoch(session) => Resume::Own { seen: seen.unwrap_or(0) },
            Some(_) => Resume::Reset { reason: "room_restarted" },
        }
    }

    fn is_of_this_epoch(&self, session: &str) -> bool {
        session.split_once('.').is_some_and(|(epoch, _)| epoch == &*self.epoch)
    }

    fn new_secret(&mut self, player: &PlayerId, role: Role) -> String {
        let secret = format!("{}.{}", self.epoch, uuid::Uuid::new_v4().simple());
        if role == Role::Player
            && let Some(seat) = self.seats.get_mut(player)
        {
            seat.secret = SecretHash::of(&secret);
        }
        secret
    }

    fn message(
        &mut self,
        id: Option<u64>,
        request: Request,
        now: Now,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Rejection> {
        let mut emissions = Vec::new();
        let hidden = self
            .ask_logic(now, &mut emissions, |logic, turn| logic.message(turn, &request).map(|()| turn.sender_only))?;
        let Request { from, data, to } = request;
        let audience = if hidden { Audience::Only([from.clone()].into()) } else { audience(&from, to) };
        self.seq += 1;
        let frame = json_frame(|out| write_message(out, self.seq, from.as_str(), id, &data));
        let request = id.map(|id| (from, id));
        effects.push(Effect::Event(Event { seq: self.seq, made: now.instant, audience, request, frame }));
        self.emit(emissions, now, effects);
        Ok(())
    }

    fn patch(
        &mut self,
        id: Option<u64>,
        request: Request,
        if_seq: Option<u64>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Rejection> {
        let changed_at = self.document.changed_at();
        if if_seq.is_some_and(|if_seq| changed_at > if_seq) {
            let message = format!("the state was changed at seq {changed_at}");
            return Err(Rejection::new(error_code::CONFLICT, message));
        }
        let Ok(patch) = request.data.decode::<Value>() else {
            return Err(Rejection::new(error_code::INVALID_FIELD, "patch is an object (RFC 7396)"));
        };
        let mut emissions = Vec::new();
        self.ask_logic(now, &mut emissions, |logic, turn| logic.patch(turn, &request))?;
        self.append_patch(Some((&request.from, id)), &request.data, patch, now, effects)?;
        self.emit(emissions, now, effects);
        Ok(())
    }

    /// A call of the logic that cannot be refused.
    fn run_logic(&mut self, now: Now, effects: &mut Vec<Effect>, call: impl FnOnce(&mut dyn RoomLogic, &mut Turn<'_>)) {
        let mut emissions = Vec::new();
        self.ask_logic(now, &mut emissions, call);
        self.emit(emissions, now, effects);
    }

    fn ask_logic<R>(
        &mut self,
        now: Now,
        emissions: &mut Vec<Emission>,
        call: impl FnOnce(&mut dyn RoomLogic, &mut Turn<'_>) -> R,
    ) -> R {
        let seats = &self.seats;
        let mut turn = Turn {
            game: &self.game,
            players: &|each| seats.players().for_each(each),
            state: self.document.value(),
            now_ms: now.unix_ms,
            random: &mut self.random,
            emissions,
            sender_only: false,
        };
        call(&mut *self.logic, &mut turn)
    }

    fn emit(&mut self, emissions: Vec<Emission>, now: Now, effects: &mut Vec<Effect>) {
        for emission in emissions {
            match emission {
                Emission::Message { data, to } => {
                    self.seq += 1;
                    let audience = to.map_or(Audience::Everyone, |to| Audience::Only(to.into()));
                    let frame = json_frame(|out| write_message(out, self.seq, SERVER_SENDER, None, &data));
                    effects.push(Effect::Event(Event {
                        seq: self.seq,
                        made: now.instant,
                        audience,
                        request: None,
                        frame,
                    }));
                }
                Emission::Patch(patch) => {
                    let text = RawJson::from_serialize(&patch);
                    // Past the bound the logic's patch is dropped: its state must fit MAX_STATE_BYTES.
                    let _ = self.append_patch(None, &text, patch, now, effects);
                }
            }
        }
    }

    fn append_patch(
        &mut self,
        request: Option<(&PlayerId, Option<u64>)>,
        text: &RawJson,
        patch: Value,
        now: Now,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Rejection> {
        let seq = self.seq + 1;
        self.document.merge(patch, seq).map_err(|_| {
            Rejection::new(error_code::STATE_TOO_LARGE, "the room's state would grow past MAX_STATE_BYTES")
        })?;
        self.seq = seq;
        let (from, id) = request.map_or((SERVER_SENDER, None), |(player, id)| (player.as_str(), id));
        let frame = json_frame(|out| write_patch(out, seq, from, id, text));
        let request = request.and_then(|(player, id)| id.map(|id| (player.clone(), id)));
        effects.push(Effect::Event(Event { seq, made: now.instant, audience: Audience::Everyone, request, frame }));
        Ok(())
    }

    fn spectator_gone(&mut self, now: Now) {
        self.spectators = self.spectators.saturating_sub(1);
        self.note_if_empty(now);
    }

    fn vacate(&mut self, player: &PlayerId, reason: LeftReason, now: Now, effects: &mut Vec<Effect>) {
        if self.seats.remove(player).is_some() {
            self.left(player, reason, now, effects);
        }
    }

    fn left(&mut self, player: &PlayerId, reason: LeftReason, now: Now, effects: &mut Vec<Effect>) {
        self.presence(player, Change::Left, Some(reason), now, effects);
        self.run_logic(now, effects, |logic, turn| logic.leave(turn, player));
        self.note_if_empty(now);
    }

    fn note_if_empty(&mut self, now: Now) {
        if self.seats.is_empty() && self.spectators == 0 && self.empty_since.is_none() {
            self.empty_since = Some(now.instant);
        }
        if self.seats.is_empty() {
            self.next_tick = None;
        }
    }

    fn start_ticking(&mut self, now: Now) {
        if self.next_tick.is_none() && !self.seats.is_empty() {
            self.next_tick = self.tick_interval.map(|interval| now.instant + interval);
        }
    }

    fn is_over_presence_limit(&self) -> bool {
        self.seats.len() > self.config.room.presence_limit
    }

    fn presence(
        &mut self,
        player: &PlayerId,
        change: Change,
        reason: Option<LeftReason>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        if self.is_over_presence_limit() {
            let due = self.counted_at.map_or(now.instant, |at| (at + COUNT_INTERVAL).max(now.instant));
            self.count_due.get_or_insert(due);
            return;
        }
        self.seq += 1;
        let frame = json_frame(|out| {
            let (player, status) = (Some(player), Some(change));
            ServerFrame::Presence { seq: Some(self.seq), player, status, reason, count: None }.write(out);
        });
        let audience = Audience::Everyone;
        effects.push(Effect::Event(Event { seq: self.seq, made: now.instant, audience, request: None, frame }));
    }
}

fn audience(from: &PlayerId, to: Option<Vec<PlayerId>>) -> Audience {
    match to {
        None => Audience::Everyone,
        Some(mut players) => {
            players.push(from.clone());
            Audience::Only(players.into())
        }
    }
}
