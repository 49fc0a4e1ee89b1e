//! Owns how the clients of a `World` join and leave, and what each must get when it joins.

use serde_json::{Value, json};

use super::{
    client::Line,
    world::{EPOCH, OUTBOX_BYTES, SPECTATOR, Seat, World, entry, player},
};
use crate::{
    protocol::{Cause, Role},
    room::{
        effect::{Effect, Effects},
        messages::{JoinRequest, Membership},
    },
    ws::{Outbox, valve::Valve},
};

/// What a joining client claims about its session.
#[derive(Debug, Clone, Copy)]
pub(super) enum Claim {
    Nothing,
    Own,
    /// Its own session, with a `seq` this much more than one above the room's.
    Ahead(u64),
    OtherEpoch,
    Guess,
}

impl World {
    pub(super) fn join(&mut self, who: usize, claim: Claim, authenticated: bool, keep: usize) {
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
            (SPECTATOR, _) => session.is_some() && session == client.session,
            (_, seat) => session.is_some() && seat.is_some_and(|seat| seat.secret == session),
        };
        let is_first = match seat {
            _ if who == SPECTATOR => true,
            Some(seat) => !seat.in_this_life,
            None => true,
        };
        let refused = !is_own && !authenticated && seat.is_some_and(|seat| seat.connection.is_some());
        self.connections += 1;
        let connection = self.connections;
        let wire = Valve::open();
        let outbox = Outbox::new(Box::new(wire.clone()), self.flusher.clone(), OUTBOX_BYTES);
        let mut effects = Effects::at(self.now, self.room_log.position());
        let join = JoinRequest {
            connection,
            player: player(who),
            role: if who == SPECTATOR { Role::Spectator } else { Role::Player },
            session: session.clone(),
            seen,
            authenticated,
            address: std::net::Ipv4Addr::LOCALHOST.into(),
            must_replace: false,
            name: None,
            wants_names: false,
        };
        let joined = self.state.join(join, &mut effects);
        let mut effects = effects.into_list();
        if refused {
            assert_eq!(joined, Err(Cause::AlreadyConnected));
            assert!(effects.is_empty());
            return;
        }
        assert_eq!(joined, Ok(()));
        let mut replaced = None;
        let greeted = self.terms.talkative && who != SPECTATOR && seat.is_none();
        self.store_all(&effects);
        if who != SPECTATOR {
            let seat = self.seats.entry(player(who)).or_default();
            let old = seat.connection.replace(connection);
            seat.away_since = None;
            replaced = self.unnoticed.iter().find(|line| Some(line.connection) == old).map(|line| line.outbox.clone());
        }
        // Events of the arrival precede the welcome in the log. What the logic emits about it
        // follows.
        let welcome = effects.iter().position(|effect| matches!(effect, Effect::Enter { .. })).expect("a welcome");
        let behind = effects.split_off(welcome);
        assert_eq!(behind.len(), if greeted { 3 } else { 1 }, "the logic greets newcomers, and only them");
        self.show(effects);
        assert!(replaced.is_none_or(|old| old.cause().is_some()), "S7: the old connection is closed");
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
        let over = self.is_crowd();
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
            // A claim from an earlier life that goes too far voids the secret. A spectator's
            // session names the life.
            "session": session.filter(|_| is_own && (!is_first || (verdict != "reset" && who != SPECTATOR))),
        });
        let Some(Effect::Enter { draft, .. }) = behind.first() else { panic!("a welcome") };
        let secret = draft.session.clone();
        if let Some(seat) = self.seats.get_mut(&player(who)).filter(|_| who != SPECTATOR) {
            (seat.secret, seat.in_this_life) = (Some(secret), true);
        }
        self.arriving = Some(outbox.clone());
        self.show(behind);
        self.clients[who].line = Some(Line { connection, entry: entry(who), outbox, wire, expected, closed: None });
    }

    pub(super) fn cut(&mut self, who: usize, keep: usize, noticed: bool) {
        self.abandon(who, keep);
        if noticed {
            self.notice();
        }
    }

    /// The client closes its socket after reading `keep` more frames.
    pub(super) fn abandon(&mut self, who: usize, keep: usize) {
        let client = &mut self.clients[who];
        client.hear_some(keep, &self.log);
        if let Some(line) = client.line.take() {
            self.unnoticed.push(line);
        }
    }

    pub(super) fn notice(&mut self) {
        if let Some(Line { connection, entry, .. }) = self.unnoticed.pop() {
            self.detach(connection, &entry);
        }
    }

    pub(super) fn detach(&mut self, connection: u64, entry: &Membership) {
        if let Membership::Player(player) = entry
            && let Some(seat) = self.seats.get_mut(player).filter(|seat| seat.connection == Some(connection))
        {
            (seat.connection, seat.away_since) = (None, Some(self.now.instant));
        }
        self.run(|state, effects| state.detach(connection, entry, effects));
    }
}
