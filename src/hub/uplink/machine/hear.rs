//! Owns what the machine makes of what comes from the upstream: verdicts on the connection, signs of life, and values.
//! Called by the hub's actor for every frame.

use std::sync::Arc;

use super::{Fall, Live, Phase, Uplink};
use crate::{
    clock::Now,
    hub::uplink::{
        matcher::{Place, Test},
        note::Note,
        output::{Output, Rejected},
        rules::Rules,
    },
    protocol::FeedState,
};

impl Uplink {
    /// A text frame came.
    pub fn heard(&mut self, text: &str, now: Now) {
        match &mut self.phase {
            // Of a connection that was given up.
            Phase::Idle | Phase::Down(_) | Phase::Connecting => return,
            Phase::Greeting(_) | Phase::Authenticating(_) => {}
            Phase::Live(live) => {
                live.quiet_since = now.instant;
                live.heard = now.unix_ms;
            }
        }
        self.last_heard = Some(now.instant);
        if self.rules.expect.is_empty() {
            self.answered();
        }
        if self.state == FeedState::Stale {
            self.note(Note::Recovered);
            self.show(FeedState::Live, now);
        }
        let rules = self.rules.clone();
        match rules.codec.frame(text) {
            Ok(frame) => {
                for place in frame.places() {
                    if !self.item(&rules, place, now) {
                        return;
                    }
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

    /// A WebSocket pong came. It answers a ping, but says nothing of the feed: H3's silence goes on.
    pub fn ponged(&mut self) {
        if self.rules.expect.is_empty() {
            self.answered();
        }
    }

    fn answered(&mut self) {
        if let Phase::Live(Live { heartbeat: Some(heartbeat), .. }) = &mut self.phase {
            heartbeat.answered();
        }
    }

    /// `false`: the connection was given up, and what else is in the frame does not count.
    fn item(&mut self, rules: &Rules, place: Place<'_, '_>, now: Now) -> bool {
        let (note, fall): (fn(String) -> Note, _) = match &self.phase {
            _ if Test::any(&rules.fatal, place) => (|said| Note::Refused { said }, Fall::Refusal),
            _ if Test::any(&rules.cool_down, place) => (|said| Note::CoolDown { said }, Fall::CoolDown),
            Phase::Authenticating(_) if Test::any(&rules.failure, place) => {
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

    fn proceed(&mut self, rules: &Rules, place: Place<'_, '_>, now: Now) {
        match &self.phase {
            Phase::Greeting(_) if Test::any(&rules.ready, place) => self.greeted(now),
            Phase::Authenticating(_) if Test::any(&rules.success, place) => self.go_live(now),
            Phase::Live(_) if Test::any(&rules.expect, place) => self.answered(),
            Phase::Live(_) => self.value(rules, place, now),
            _ => {}
        }
    }

    /// `false`: the item says no to none of the topics that were asked for.
    fn reject(&mut self, rules: &Rules, place: Place<'_, '_>, now: Now) -> bool {
        let Some(is_meant) = rules.rejected.as_ref().and_then(|rejected| rejected.read(place)) else { return false };
        let topics = self.wanted.reject(is_meant);
        if topics.is_empty() {
            return false;
        }
        let said: Arc<str> = self.censor.said(place.item.raw().get()).into();
        self.counts.rejected += topics.len() as u64;
        if let Some(times) = self.rejected.count(now.instant) {
            self.note(Note::Rejected { said: said.clone(), times });
        }
        // Of what is not wanted any more nobody needs to hear.
        let wanted = topics.into_iter().filter(|topic| self.wanted.get(topic.as_str()).is_some());
        self.out.extend(wanted.map(|topic| Output::Rejected(Rejected { topic, said: said.clone() })));
        true
    }

    fn value(&mut self, rules: &Rules, place: Place<'_, '_>, now: Now) {
        if self.reject(rules, place, now) || Test::any(&rules.ignore, place) {
            return;
        }
        let has_topic = rules.codec.topic(place, &mut self.name);
        let Some(data) = rules.codec.data(place).filter(|_| has_topic) else {
            self.counts.unknown += 1;
            if let Some(items) = self.unknown.count(now.instant) {
                self.note(Note::Unknown { said: self.censor.said(place.item.raw().get()), items });
            }
            return;
        };
        let Some(topic) = self.wanted.get(&self.name).cloned() else { return };
        self.tell_gap(now);
        self.counts.values += 1;
        self.out.push(Output::Data(topic, data.into()));
    }

    /// H4: of what was lost before this connection, once.
    pub(super) fn tell_gap(&mut self, now: Now) {
        if let Some(gap) = self.outage.end(now.unix_ms) {
            self.counts.gaps += 1;
            self.out.push(Output::Gap(gap));
        }
    }
}
