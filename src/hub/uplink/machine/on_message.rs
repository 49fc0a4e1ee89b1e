//! Owns how the machine handles what the upstream sends: verdicts on the connection, signs of life,
//! and values.

use std::sync::Arc;

use super::{Fall, Live, Uplink, UplinkPhase};
use crate::{
    clock::Now,
    hub::uplink::{
        matcher::{ItemPointer, Test},
        note::Note,
        output::{Output, Rejected},
        rules::FrameRules,
    },
    protocol::{FeedState, Topic},
};

impl Uplink {
    /// A text frame came.
    pub(crate) fn on_message(&mut self, text: &str, now: Now) {
        match &mut self.phase {
            // It belongs to a connection that was given up.
            UplinkPhase::Idle | UplinkPhase::Down(_) | UplinkPhase::Connecting => return,
            UplinkPhase::Greeting(_) | UplinkPhase::Authenticating(_) => {}
            UplinkPhase::Live(live) => {
                live.quiet_since = now.instant;
                live.last_message = now.unix_ms;
            }
        }
        self.last_message = Some(now.instant);
        let is_answer = self.may_be_answer();
        if self.rules.expect.is_empty() {
            self.answered();
        }
        if self.state == FeedState::Stale {
            self.note(Note::Recovered);
            self.show(FeedState::Live, now);
        }
        let rules = self.rules.clone();
        let values = self.counts.values;
        match rules.codec.frame(text) {
            Ok(frame) => {
                for place in frame.places() {
                    if !self.item(&rules, place, now) {
                        return;
                    }
                }
                if self.counts.values != values {
                    self.silence.value(now.instant);
                } else if !is_answer && !frame.places().all(|place| Test::any(&rules.expect, place)) {
                    self.silence.broken(now.instant);
                }
            }
            Err(why) => {
                self.counts.unreadable += 1;
                if let Some(frames) = self.unreadable.count(now.instant) {
                    self.note(Note::Unreadable { why, frames });
                }
            }
        }
    }

    /// A WebSocket pong came. It answers a ping, but is no sign of life of the feed: H3's silence
    /// goes on.
    pub(crate) fn ponged(&mut self) {
        if self.rules.expect.is_empty() {
            self.answered();
        }
    }

    /// Returns true if a heartbeat that is a frame of the feed waits for an answer: the next frame
    /// without a value is taken for the answer, and is no sign of life of the feed (H8).
    fn may_be_answer(&self) -> bool {
        let UplinkPhase::Live(Live { heartbeat: Some(heartbeat), .. }) = &self.phase else { return false };
        heartbeat.is_unanswered() && self.feed.heartbeat.as_ref().is_some_and(|heartbeat| heartbeat.send.is_some())
    }

    fn answered(&mut self) {
        if let UplinkPhase::Live(Live { heartbeat: Some(heartbeat), .. }) = &mut self.phase {
            heartbeat.answered();
        }
    }

    /// Returns false if the connection was given up; then the other items of the frame do not
    /// count.
    fn item(&mut self, rules: &FrameRules, place: ItemPointer<'_, '_>, now: Now) -> bool {
        let (note, fall): (fn(String) -> Note, _) = match &self.phase {
            _ if Test::any(&rules.fatal, place) => (|said| Note::Refused { said }, Fall::Refusal),
            _ if Test::any(&rules.cool_down, place) => (|said| Note::CoolDown { said }, Fall::CoolDown),
            UplinkPhase::Authenticating(_) if Test::any(&rules.failure, place) => {
                (|said| Note::Refused { said }, Fall::Refusal)
            }
            _ => {
                self.proceed(rules, place, now);
                return true;
            }
        };
        let said = self.censor.said(place.item.raw().get());
        self.give_up(note(said), fall, now);
        false
    }

    fn proceed(&mut self, rules: &FrameRules, place: ItemPointer<'_, '_>, now: Now) {
        match &self.phase {
            UplinkPhase::Greeting(_) if Test::any(&rules.ready, place) => self.greeted(now),
            UplinkPhase::Authenticating(_) if Test::any(&rules.success, place) => self.go_live(now),
            UplinkPhase::Live(_) => {
                let is_expected = Test::any(&rules.expect, place);
                if is_expected {
                    self.answered();
                }
                self.value(rules, place, is_expected, now);
            }
            _ => {}
        }
    }

    /// Handles an item that names the topics it rejects. Returns false if it rejects none that were
    /// asked for.
    fn reject(&mut self, rules: &FrameRules, place: ItemPointer<'_, '_>, now: Now) -> bool {
        let Some(is_meant) = rules.rejected.as_ref().and_then(|rejected| rejected.read(place)) else { return false };
        let topics = self.wanted.reject(is_meant);
        self.report_rejected(topics, place, now)
    }

    /// Handles an item that rejects a frame without naming topics. Returns false if it rejects
    /// none.
    fn reject_unnamed(&mut self, rules: &FrameRules, place: ItemPointer<'_, '_>, now: Now) -> bool {
        let Some(rejected) = &rules.rejected else { return false };
        if rejected.is_accepted(place) {
            self.unanswered.pop_front();
            return false;
        }
        if !rejected.is_unnamed(place) {
            return false;
        }
        let meant =
            if rejected.is_answered() { self.unanswered.pop_front() } else { self.wanted.newest_without_value() };
        let Some(meant) = meant else { return false };
        // The upstream may have some of the frame's topics, so each is asked for again alone.
        if self.wanted.ask_one_by_one(meant) {
            self.wanted_at = now.instant;
            return true;
        }
        let topics = self.wanted.reject(|_, frame| frame == meant);
        self.report_rejected(topics, place, now)
    }

    fn report_rejected(&mut self, topics: Vec<Topic>, place: ItemPointer<'_, '_>, now: Now) -> bool {
        if topics.is_empty() {
            return false;
        }
        let said: Arc<str> = self.censor.said(place.item.raw().get()).into();
        self.counts.rejected += topics.len() as u64;
        if let Some(times) = self.rejected.count(now.instant) {
            self.note(Note::Rejected { said: said.clone(), times });
        }
        // Topics that are not wanted any more need no event.
        let wanted = topics.into_iter().filter(|topic| self.wanted.get(topic.as_str()).is_some());
        self.out.extend(wanted.map(|topic| Output::Rejected(Rejected { topic, said: said.clone() })));
        true
    }

    /// `is_expected` is true if the item is an answer to a heartbeat, which it may be beside
    /// carrying a value.
    fn value(&mut self, rules: &FrameRules, place: ItemPointer<'_, '_>, is_expected: bool, now: Now) {
        if self.reject(rules, place, now) || self.reject_unnamed(rules, place, now) || Test::any(&rules.ignore, place) {
            return;
        }
        let has_topic = rules.codec.topic(place, &mut self.name);
        let Some(data) = rules.codec.data(place).filter(|_| has_topic) else {
            if is_expected {
                return;
            }
            self.counts.unknown += 1;
            if let Some(items) = self.unknown.count(now.instant) {
                self.note(Note::Unknown { said: self.censor.said(place.item.raw().get()), items });
            }
            return;
        };
        let Some(topic) = self.wanted.on_value(&self.name) else { return };
        self.report_gap(now);
        self.counts.values += 1;
        self.out.push(Output::Data(topic, data.into()));
    }

    /// H4: puts out the gap of the connections before, once.
    pub(super) fn report_gap(&mut self, now: Now) {
        if let Some(gap) = self.outage.end(now.unix_ms) {
            self.counts.gaps += 1;
            self.out.push(Output::Gap(gap));
        }
    }
}
