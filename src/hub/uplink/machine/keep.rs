//! Owns what the machine does because time has passed or interest has changed: timeouts,
//! heartbeats, staleness, subscriptions.

use std::time::Instant;

use super::{Fall, GAP_DELAY, Live, Uplink, UplinkPhase};
use crate::{
    clock::Now,
    hub::uplink::{note::Note, output::Output, rejection::RejectionRule, wanted::RequestKind},
    protocol::FeedState,
};

/// How many frames an upstream may leave unanswered before the oldest is forgotten.
const MAX_UNANSWERED: usize = 10_000;

/// Subscriptions on one connection that are not wanted any more and cannot be taken back: beyond
/// this number the connection is replaced.
const MAX_LITTER: usize = 1000;

impl Uplink {
    /// Does what is due. After it, nothing is due before [`Uplink::next_deadline`], which then lies
    /// in the future.
    pub(crate) fn tick(&mut self, now: Now) {
        match &self.phase {
            UplinkPhase::Down(until) if *until <= now.instant => self.connect(now),
            UplinkPhase::Greeting(until) if *until <= now.instant => {
                self.give_up(Note::Silent { awaited: "a greeting" }, Fall::Failure, now);
            }
            UplinkPhase::Authenticating(until) if *until <= now.instant => {
                self.give_up(Note::Silent { awaited: "an answer to the key" }, Fall::Failure, now);
            }
            UplinkPhase::Live(_) => self.tick_live(now),
            _ => {}
        }
    }

    /// When to call [`Uplink::tick`]; if the moment is past, at once.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        match &self.phase {
            UplinkPhase::Idle | UplinkPhase::Connecting => None,
            UplinkPhase::Down(until) | UplinkPhase::Greeting(until) | UplinkPhase::Authenticating(until) => {
                Some(*until)
            }
            UplinkPhase::Live(live) => {
                let subscription = self.wanted.next().map(|_| self.pace.next().unwrap_or(self.wanted_at));
                let heartbeat = live.heartbeat.as_ref().map(|heartbeat| heartbeat.deadline());
                let (gap, stale, mute) = (self.gap_at(live), self.stale_at(live), self.mute_at());
                [subscription, heartbeat, gap, self.renewal_at(), stale, mute, self.retry.stable_at()]
                    .into_iter()
                    .flatten()
                    .min()
            }
        }
    }

    fn gap_at(&self, live: &Live) -> Option<Instant> {
        live.complete.filter(|_| self.outage.is_open()).map(|since| since + GAP_DELAY)
    }

    fn renewal_at(&self) -> Option<Instant> {
        self.feed.max_age.map(|age| self.opened + age)
    }

    /// When the feed becomes stale. Silence on a connection without subscriptions means nothing.
    fn stale_at(&self, live: &Live) -> Option<Instant> {
        let is_judged = self.state == FeedState::Live && self.wanted.asked() > 0;
        is_judged.then(|| live.quiet_since + self.feed.stale_after)
    }

    /// H8: when the connection is closed because no value came.
    fn mute_at(&self) -> Option<Instant> {
        self.silence.deadline().filter(|_| self.wanted.asked() > 0)
    }

    fn tick_live(&mut self, now: Now) {
        if self.renewal_at().is_some_and(|at| at <= now.instant) {
            let age = now.instant.saturating_duration_since(self.opened);
            return self.renew(Note::Aged { age }, now);
        }
        if self.mute_at().is_some_and(|at| at <= now.instant) {
            let UplinkPhase::Live(live) = &self.phase else { return };
            let after = now.instant.saturating_duration_since(live.quiet_since);
            self.silence.left();
            return self.give_up(Note::Mute { after, times: self.silence.mute() }, Fall::Failure, now);
        }
        if self.wanted.litter() > MAX_LITTER {
            return self.renew(Note::Littered { topics: self.wanted.litter() }, now);
        }
        let UplinkPhase::Live(live) = &mut self.phase else { return };
        if let Some(heartbeat) = &mut live.heartbeat {
            if heartbeat.is_dead(now.instant) {
                return self.give_up(Note::Silent { awaited: "an answer to a heartbeat" }, Fall::Failure, now);
            }
            if heartbeat.is_due(now.instant) {
                let frame = self.feed.heartbeat.as_ref().and_then(|heartbeat| heartbeat.send.clone());
                self.out.push(frame.map_or(Output::Ping, Output::Send));
            }
        }
        self.retry.notice_stable(now.instant);
        self.ask(now);
        let UplinkPhase::Live(live) = &self.phase else { return };
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now.instant);
        let (is_gap_due, is_stale) = (is_due(self.gap_at(live)), is_due(self.stale_at(live)));
        let after = now.instant.saturating_duration_since(live.quiet_since);
        if is_gap_due {
            self.report_gap(now);
        }
        if is_stale {
            self.note(Note::Stale { after });
            self.show(FeedState::Stale, now);
        }
    }

    /// Subscribes and unsubscribes at the upstream until it matches what is wanted, as fast as the
    /// pace allows.
    pub(super) fn ask(&mut self, now: Now) {
        let UplinkPhase::Live(live) = &mut self.phase else { return };
        let before = self.wanted.asked();
        while let Some(change) = self.wanted.next() {
            let template = match change {
                RequestKind::Ask => &self.rules.subscribe,
                RequestKind::Drop => &self.rules.unsubscribe,
            };
            let Some(template) = template else {
                // The upstream sends everything without being asked.
                self.wanted.take(change, usize::MAX, |_| "", self.last_frame_id);
                continue;
            };
            if !self.pace.is_due(now.instant) {
                break;
            }
            let batch = if template.is_single() { 1 } else { self.feed.batch };
            self.last_frame_id += 1;
            let topics = self.wanted.take(change, batch, |topic| template.group(topic), self.last_frame_id);
            self.pace.sent(now.instant);
            if self.rules.rejected.as_ref().is_some_and(RejectionRule::is_answered) {
                self.unanswered.push_back(self.last_frame_id);
                if self.unanswered.len() > MAX_UNANSWERED {
                    self.unanswered.pop_front();
                }
            }
            self.out.push(Output::Send(template.frame(&topics, self.last_frame_id)));
        }
        if before == 0 {
            live.quiet_since = now.instant;
            self.silence.broken(now.instant);
        }
        if self.wanted.next().is_none() {
            live.complete.get_or_insert(now.instant);
        }
        if self.wanted.asked() == 0 && self.state == FeedState::Stale {
            self.show(FeedState::Live, now);
        }
    }
}
