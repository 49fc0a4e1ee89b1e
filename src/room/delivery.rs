//! Owns the output of a room: the members' outboxes, and the fan-out of effects.

use std::{
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    audience::Audience,
    effect::{Draft, Effect},
    history::Event,
    messages::Membership,
    text::MemberText,
};
use crate::{
    clock,
    config::Config,
    protocol::{Cause, GameId, PlayerId, ServerFrame, server},
    ws::{Frame, Outbox, Policy, Timing, ValueKey},
};

/// The text for people that goes with a ban (S13).
pub(crate) const BANNED: &str = "the back end keeps this player out of this game for a while";

struct Member {
    connection: u64,
    /// `None` for a spectator.
    player: Option<PlayerId>,
    outbox: Rc<Outbox>,
    /// The connection receives display names (S11).
    wants_names: bool,
    /// When the connection entered, in hundredths of a second since the process started. A `u32`
    /// lasts 16 months.
    entered: u32,
}

impl Member {
    fn entered(&self) -> Duration {
        Duration::from_millis(u64::from(self.entered) * 10)
    }
}

/// What operators see of a connection.
pub(crate) struct MemberLink {
    pub queue_bytes: usize,
    pub queue_frames: usize,
    /// See [`Outbox::latency`].
    pub latency: Option<Duration>,
    /// How long the connection has been in the room.
    pub connected: Duration,
}

/// All connections of the room.
pub(crate) struct Delivery {
    /// The newest `seq` that was shown.
    shown: u64,
    /// Sorted by connection. Most arrivals are appended, but a connection that waited for its token
    /// arrives late (A11).
    members: Vec<Member>,
    /// Frames are queued but not written. The room's next flush writes them.
    held: bool,
    /// The room has a flush interval.
    holds: bool,
    welcome: WelcomeTerms,
}

/// The fields that every `welcome` of a room shares.
pub(crate) struct WelcomeTerms {
    pub game: GameId,
    pub epoch: Box<str>,
    pub config: Arc<Config>,
}

impl Delivery {
    /// `shown` is the newest `seq` of the room's log.
    pub(crate) fn new(shown: u64, holds: bool, welcome: WelcomeTerms) -> Self {
        Self { shown, members: Vec::new(), held: false, holds, welcome }
    }

    /// Carries out one effect.
    pub(crate) fn deliver(&mut self, effect: Effect) {
        match effect {
            Effect::Event(event) => self.event(&event),
            // The log already has the record, and no member sees it.
            Effect::Keep(_) => {}
            // The outlet has the outbox, and calls `enter`.
            Effect::Enter { .. } => {}
            Effect::Broadcast { text, named } => {
                self.show(&Audience::Everyone, &text, named.as_ref(), Instant::now());
            }
            Effect::Volatile { from, name, audience, text } => {
                let key = ValueKey::Volatile { from, name: name.into() };
                let timing = Timing { made: Instant::now(), is_held: self.holds };
                self.fan_out(&audience, |member| {
                    member.outbox.queue(text.frame().clone(), Policy::Newest(&key), timing);
                });
            }
            Effect::Reply { connection, text } | Effect::Ack { connection, text } => {
                self.reply(connection, text.into());
            }
            Effect::Exit { connection } => {
                self.remove(connection);
            }
            Effect::Close { connection, cause } => {
                if let Some(member) = self.remove(connection) {
                    match cause {
                        Cause::Banned => member.outbox.refuse(cause, BANNED),
                        _ => member.outbox.close(cause, None),
                    };
                }
            }
        }
    }

    /// Sends a frame to one connection.
    pub(crate) fn reply(&self, connection: u64, frame: Frame) {
        if let Some(member) = self.member(connection) {
            member.outbox.queue(frame, Policy::Live, Instant::now());
        }
    }

    /// Ends every connection of the room.
    pub(crate) fn close_all(&mut self, cause: Cause, message: &str) {
        for member in self.members.drain(..) {
            let error = MemberText::error(cause.name(), message, None);
            member.outbox.close(cause, Some(error.into()));
        }
    }

    /// Returns whether frames wait for [`Delivery::release`].
    pub(crate) fn is_held(&self) -> bool {
        self.held
    }

    /// Marks the frames held since the last flush for writing, each member's in one write.
    pub(crate) fn release(&mut self) {
        self.held = false;
        for member in &self.members {
            member.outbox.write_held();
        }
    }

    pub(crate) fn member_count(&self) -> usize {
        self.members.len()
    }

    /// Returns the newest `seq` that was shown. What is newer may not be stored yet.
    pub(crate) fn shown(&self) -> u64 {
        self.shown
    }

    /// Returns what operators see of this connection, or `None` before its `welcome`.
    pub(crate) fn link(&self, connection: u64) -> Option<MemberLink> {
        let member = self.member(connection)?;
        let (queue_bytes, queue_frames) = member.outbox.backlog();
        let connected = clock::since_start(Instant::now()).saturating_sub(member.entered());
        Some(MemberLink { queue_bytes, queue_frames, latency: member.outbox.latency(), connected })
    }

    fn event(&mut self, event: &Event) {
        let any_wants_names = || self.members.iter().any(|member| member.wants_names);
        let named = event.name.as_ref().filter(|_| any_wants_names()).and_then(|_| event.named_text());
        self.show(&event.audience, &event.text, named.as_ref(), event.made);
        self.shown = event.seq;
    }

    /// Sends each member either the text or the one with the name.
    fn show(&mut self, audience: &Audience, text: &MemberText, named: Option<&MemberText>, made: Instant) {
        let timing = Timing { made, is_held: self.holds };
        self.fan_out(audience, |member| {
            let text = named.filter(|_| member.wants_names).unwrap_or(text);
            member.outbox.queue(text.frame().clone(), Policy::Live, timing);
        });
    }

    fn fan_out(&mut self, audience: &Audience, queue: impl Fn(&Member)) {
        let mut held = false;
        for member in self.members.iter().filter(|member| audience.admits(member.player.as_ref())) {
            queue(member);
            held |= self.holds && member.outbox.is_held();
        }
        self.held |= held;
    }

    /// Welcomes a connection, sends the events it missed, then everything live.
    pub(crate) fn enter(&mut self, connection: u64, membership: Membership, outbox: Rc<Outbox>, draft: Draft) {
        let now = Instant::now();
        let terms = &self.welcome;
        let limits = &terms.config.connection;
        let welcome = ServerFrame::Welcome(server::Welcome {
            protocol: 1,
            game: &terms.game,
            player: &draft.player,
            role: draft.role.name(),
            epoch: &terms.epoch,
            session: &draft.session,
            resume: draft.verdict,
            reason: draft.reason,
            lost: draft.lost,
            seq: draft.seq,
            last_id: draft.last_id,
            players: &draft.players,
            player_count: draft.player_count,
            heartbeat: server::HeartbeatTerms::new(limits.ping_interval, limits.ping_timeout),
            grace_ms: terms.config.room.reconnect_grace.as_millis() as u64,
            max_message_bytes: limits.max_message_bytes,
            state: draft.state.as_deref(),
        });
        outbox.queue(MemberText::write(|out| welcome.write(out)).into(), Policy::CatchUp, now);
        for text in draft.missed {
            outbox.queue(text.into(), Policy::CatchUp, now);
        }
        let player = match membership {
            Membership::Player(player) => Some(player),
            Membership::Spectator => None,
        };
        let entered = (clock::since_start(now).as_millis() / 10) as u32;
        let place = self.members.partition_point(|member| member.connection < connection);
        if self.members.capacity() == 0 {
            self.members.reserve_exact(2);
        }
        self.members.insert(place, Member { connection, player, outbox, wants_names: draft.wants_names, entered });
    }

    fn position(&self, connection: u64) -> Option<usize> {
        self.members.binary_search_by_key(&connection, |member| member.connection).ok()
    }

    fn member(&self, connection: u64) -> Option<&Member> {
        self.position(connection).map(|position| &self.members[position])
    }

    fn remove(&mut self, connection: u64) -> Option<Member> {
        self.position(connection).map(|position| self.members.remove(position))
    }
}
