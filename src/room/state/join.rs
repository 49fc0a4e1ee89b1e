//! Owns how a connection joins a room: which seat it may take, and from where it may resume (R1,
//! R3, S7, S10).

use std::net::IpAddr;

use super::{
    RoomState,
    resume::{Judgement, Resume},
};
use crate::{
    protocol::{
        Cause, DisplayName, PlayerId, ResumeReason, Role, Verdict,
        server::{PresenceChange, players_map},
    },
    room::{
        effect::{Draft, Effect, Effects},
        messages::{JoinRequest, Membership},
        seats::{Seat, SecretHash},
    },
};

impl RoomState {
    /// Lets a connection join: with a new seat, with its own seat (R1), in place of another
    /// connection (S7), or as a spectator (S10).
    ///
    /// # Errors
    /// [`Cause::Banned`] (S13); [`Cause::AlreadyConnected`] if the seat is taken and the client
    /// proves no claim to it (S7); [`Cause::ConnectionLimit`] if the connection must replace one of
    /// its address and does not (A5a).
    pub(crate) fn join(&mut self, join: JoinRequest, effects: &mut Effects) -> Result<(), Cause> {
        let now = effects.now;
        let JoinRequest {
            connection,
            player,
            role,
            session,
            seen,
            authenticated,
            address,
            must_replace,
            name,
            wants_names,
        } = join;
        if self.bans.has(&player, now.unix_ms) {
            return Err(Cause::Banned);
        }
        if must_replace && (role == Role::Spectator || !self.holds(&player, address)) {
            return Err(Cause::ConnectionLimit);
        }
        // Over the limit, a connection without a valid claim gets `ConnectionLimit`, as a stranger
        // would.
        let refused = |cause| if must_replace { Cause::ConnectionLimit } else { cause };
        let is_new = role == Role::Player && self.seats.get_mut(&player).is_none();
        let (membership, session, last_id, resume) = match role {
            Role::Spectator => {
                let resume = self.spectator_claim(session.as_deref(), seen);
                self.spectators += 1;
                (
                    Membership::Spectator,
                    session.filter(|_| resume.is_own()).map(|session| self.in_this_life(&session)),
                    0,
                    resume,
                )
            }
            Role::Player => {
                let (session, last_id, resume) = self
                    .take_seat(&player, name, (connection, address), session, seen, authenticated, effects)
                    .map_err(refused)?;
                (Membership::Player(player.clone()), session, last_id, resume)
            }
        };
        // A known secret stays valid: if it were replaced and the welcome got lost, the client
        // could not resume.
        let session = match session {
            Some(secret) => secret,
            None => self.new_secret(role),
        };
        self.note_welcome(&player, role, &session, effects);
        self.empty_since = None;
        self.has_been_asked_for_names |= wants_names;
        self.start_ticking(now);
        self.history.trim(now.instant);
        let draft = self.draft(player, (role, session, last_id), resume, &membership, wants_names);
        let newcomer = draft.player.clone();
        effects.push(Effect::Enter { connection, membership, draft: Box::new(draft) });
        // Runs behind the welcome, so that the new player sees what the logic sends it, such as its
        // hand of cards.
        if is_new {
            self.run_logic(effects, |logic, turn| logic.join(turn, &newcomer));
        }
        Ok(())
    }

    /// Decides what the welcome says.
    fn draft(
        &self,
        player: PlayerId,
        (role, session, last_id): (Role, String, u64),
        resume: Resume,
        membership: &Membership,
        wants_names: bool,
    ) -> Draft {
        let Judgement { verdict, reason, lost, after } = resume.judge(&self.history);
        let mut missed = Vec::new();
        if let Some(seen) = after {
            let events = self.history.after(seen).filter(|event| event.audience.admits(membership.player()));
            missed.extend(events.map(|event| {
                let named = if wants_names { event.named_text() } else { None };
                named.unwrap_or_else(|| event.text.clone())
            }));
            // The missed events may name players that left during a crowd, which no event reports.
            if self.crowd_over > 0 && seen <= self.crowd_over && !self.is_crowd {
                missed.push(self.everybody(wants_names));
            }
        }
        Draft {
            player,
            role,
            session,
            verdict,
            reason,
            lost,
            seq: self.seq,
            last_id,
            players: if self.is_crowd { players_map(&[]) } else { self.players(wants_names) },
            wants_names,
            player_count: self.is_crowd.then(|| self.seats.len()),
            state: (verdict != Verdict::Continuous).then(|| self.document.text().clone()),
            missed,
        }
    }

    /// Returns whether the player's present connection comes from this address.
    fn holds(&mut self, player: &PlayerId, address: IpAddr) -> bool {
        self.seats.get_mut(player).is_some_and(|seat| seat.connection.is_some() && seat.address == Some(address))
    }

    #[allow(clippy::too_many_arguments)] // one call site; a struct would only rename them
    fn take_seat(
        &mut self,
        player: &PlayerId,
        name: Option<DisplayName>,
        (connection, address): (u64, IpAddr),
        session: Option<String>,
        seen: Option<u64>,
        authenticated: bool,
        effects: &mut Effects,
    ) -> Result<(Option<String>, u64, Resume), Cause> {
        let same_epoch = session.as_deref().is_none_or(|session| self.is_of_this_epoch(session));
        // Read before `back` is appended: no client can have seen that event.
        let reached = self.seq;
        let Some(seat) = self.seats.get_mut(player) else {
            let resume = match session {
                None => Resume::New { reason: None },
                Some(_) if same_epoch => Resume::New { reason: Some(ResumeReason::SessionExpired) },
                Some(_) => Resume::Reset { reason: ResumeReason::RoomRestarted },
            };
            // `note_welcome` sets the secret and the life right after this.
            let secret = SecretHash::of("");
            let (connection, address) = (Some(connection), Some(address));
            let seat = Seat { name: None, secret, last_id: 0, life: 0, connection, address };
            self.seats.insert(player.clone(), seat);
            if let Some(name) = name.clone() {
                self.rename(player, name, effects);
            }
            self.presence(player, name, PresenceChange::Joined, None, effects);
            return Ok((None, 0, resume));
        };
        let known = session.filter(|session| same_epoch && seat.secret.matches(session));
        let (last_id, life) = (seat.last_id, seat.life);
        let present = seat.connection;
        if present.is_some() && known.is_none() && !authenticated {
            return Err(Cause::AlreadyConnected);
        }
        if let Some(name) = name {
            self.rename(player, name, effects);
        }
        match present {
            Some(old) => {
                effects.push(Effect::Close { connection: old, cause: Cause::Replaced });
                self.seats.occupy(player, connection, address);
            }
            None => {
                self.seats.occupy(player, connection, address);
                let name = self.name_of(player);
                self.presence(player, name, PresenceChange::Back, None, effects);
            }
        }
        let resume = match &known {
            Some(_) if seen.is_some_and(|seen| seen > self.shared_until(life, reached)) => {
                // The client claims a `seq` that the shared log has not reached. If it was welcomed
                // in an earlier life, it may have seen another copy of the log: it gets a new
                // secret. In this life the claim is false, and it keeps its secret.
                let is_lie = life == self.lineage.current().id;
                return Ok((known.filter(|_| is_lie), last_id, Resume::Reset { reason: ResumeReason::SeqAhead }));
            }
            // Without a `seq` it is no resume (R1): the client keeps its session and gets the
            // state.
            Some(_) => seen.map_or(Resume::New { reason: Some(ResumeReason::NoSeq) }, |seen| Resume::Own { seen }),
            None if !same_epoch => Resume::Reset { reason: ResumeReason::RoomRestarted },
            None => Resume::New { reason: None },
        };
        Ok((known, last_id, resume))
    }

    /// A spectator proves no seat. All it may see is public, so the epoch and the life suffice
    /// (S10).
    fn spectator_claim(&self, session: Option<&str>, seen: Option<u64>) -> Resume {
        let Some(session) = session else { return Resume::New { reason: None } };
        if !self.is_of_this_epoch(session) {
            return Resume::Reset { reason: ResumeReason::RoomRestarted };
        }
        let Some(life) = life_of(session) else { return Resume::New { reason: Some(ResumeReason::SessionExpired) } };
        match seen {
            None => Resume::New { reason: Some(ResumeReason::NoSeq) },
            Some(seen) if seen > self.shared_until(life, self.seq) => Resume::Reset { reason: ResumeReason::SeqAhead },
            Some(seen) => Resume::Own { seen },
        }
    }

    pub(super) fn is_of_this_epoch(&self, session: &str) -> bool {
        session.split_once('.').is_some_and(|(epoch, _)| epoch == &*self.epoch)
    }

    /// Makes the session of a new client: `epoch.random`. For a player it is secret. For a
    /// spectator the life that welcomed it is appended, which for a player its seat records.
    fn new_secret(&self, role: Role) -> String {
        let secret = format!("{}.{}", self.epoch, uuid::Uuid::new_v4().simple());
        match role {
            Role::Player => secret,
            Role::Spectator => self.in_this_life(&secret),
        }
    }

    fn in_this_life(&self, spectators: &str) -> String {
        let mut parts = spectators.splitn(3, '.');
        let (epoch, random) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        format!("{epoch}.{random}.{:x}", self.lineage.current().id)
    }

    /// Stores the secret of the welcome and the current life in the seat, and logs the seat.
    fn note_welcome(&mut self, player: &PlayerId, role: Role, session: &str, effects: &mut Effects) {
        if role == Role::Spectator {
            return;
        }
        let life = self.lineage.current().id;
        if let Some(seat) = self.seats.get_mut(player) {
            (seat.secret, seat.life) = (SecretHash::of(session), life);
        }
        self.keep_seat(player, effects);
    }
}

/// Returns the life in a spectator's session.
fn life_of(session: &str) -> Option<u64> {
    u64::from_str_radix(session.splitn(3, '.').nth(2)?, 16).ok()
}
