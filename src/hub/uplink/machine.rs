//! Owns `Uplink`: the phases of one feed's upstream connection, from idle to live and back.
//! `on_message` handles what the upstream sends, `keep` handles the time and changed interest.

mod keep;
mod on_message;

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    backoff::Retry,
    heartbeat::UpstreamHeartbeat,
    note::{Censor, Note, Throttle},
    outage::Outage,
    output::{Counts, FeedStatus, Output},
    pace::Pace,
    rules::FrameRules,
    silence::Silence,
    wanted::WantedTopics,
};
use crate::{
    clock::Now,
    config::feeds::FeedConfig,
    protocol::{FeedState, Topic},
};

/// No client is here, or the connection has reached its maximum age.
const CLOSE_NORMAL: u16 = 1000;
/// The server stops.
const CLOSE_GOING_AWAY: u16 = 1001;
/// The upstream did not answer in time, or sent no values.
const CLOSE_PROTOCOL: u16 = 1002;

/// The longest pause that an upstream can ask for (`Retry-After`).
const MAX_RETRY_AFTER: Duration = Duration::from_secs(900);

/// How long a new connection, on which everything is asked for, may be without a value before the
/// gap is sent anyway: subscribers of a quiet topic must get it too. A connection that the upstream
/// closes right after the subscriptions does not last that long, so it sends no gap.
const GAP_DELAY: Duration = Duration::from_secs(1);

pub(crate) struct Uplink {
    feed: Arc<FeedConfig>,
    rules: Arc<FrameRules>,
    censor: Censor,
    phase: UplinkPhase,
    /// The state that was put out last.
    state: FeedState,
    since: u64,
    shown_attempt: u32,
    wanted: WantedTopics,
    /// When the newest change of interest came.
    wanted_at: Instant,
    pace: Pace,
    retry: Retry,
    outage: Outage,
    silence: Silence,
    /// For an upstream that answers each frame: the numbers of the frames that subscribe or
    /// unsubscribe and have no answer yet.
    unanswered: VecDeque<u64>,
    /// When the newest dialling began, and when it became a connection.
    dialled: Instant,
    opened: Instant,
    last_message: Option<Instant>,
    last_frame_id: u64,
    counts: Counts,
    unreadable: Throttle,
    unknown: Throttle,
    rejected: Throttle,
    /// The buffer that topics are written to, kept for its memory.
    name: String,
    out: Vec<Output>,
}

enum UplinkPhase {
    /// No client is here.
    Idle,
    /// No connection may be tried before this moment.
    Down(Instant),
    Connecting,
    /// The connection is open; `ready` has to come before this moment.
    Greeting(Instant),
    /// The answer to the credentials has to come before this moment.
    Authenticating(Instant),
    Live(Live),
}

struct Live {
    heartbeat: Option<UpstreamHeartbeat>,
    /// When the silence began that may make the feed stale.
    quiet_since: Instant,
    /// Unix ms of the last frame, or of going live.
    last_message: u64,
    /// When everything that was wanted had been asked for.
    complete: Option<Instant>,
}

/// Why a connection has ended.
enum Fall {
    Failure,
    /// The upstream asked for this pause.
    Pause(Duration),
    CoolDown,
    Refusal,
}

impl Uplink {
    pub(crate) fn new(feed: Arc<FeedConfig>, random: fastrand::Rng, now: Now) -> Self {
        let rules = FrameRules::new(&feed);
        Self {
            censor: Censor::new(&feed),
            phase: UplinkPhase::Idle,
            state: FeedState::Disconnected,
            since: now.unix_ms,
            shown_attempt: 0,
            wanted: WantedTopics::new(rules.can_drop()),
            wanted_at: now.instant,
            pace: Pace::new(feed.messages_per_second),
            retry: Retry::new(feed.backoff, random),
            outage: Outage::default(),
            silence: Silence::new(feed.reconnect_after, now.instant),
            unanswered: VecDeque::new(),
            dialled: now.instant,
            opened: now.instant,
            last_message: None,
            last_frame_id: 0,
            counts: Counts::default(),
            unreadable: Throttle::default(),
            unknown: Throttle::default(),
            rejected: Throttle::default(),
            name: String::new(),
            out: Vec::new(),
            rules: Arc::new(rules),
            feed,
        }
    }

    /// Returns true if the upstream can be asked for the topic. If it cannot, [`Uplink::want`] does
    /// nothing.
    pub(crate) fn can_ask(&self, topic: &Topic) -> bool {
        self.rules.can_ask(topic)
    }

    pub(crate) fn want(&mut self, topic: &Topic, now: Now) {
        if self.can_ask(topic) && self.wanted.want(topic) {
            self.wanted_at = now.instant;
        }
    }

    /// Values of the topic are not put out any more, even if the upstream still sends them.
    pub(crate) fn unwant(&mut self, topic: &Topic, now: Now) {
        if self.wanted.unwant(topic) {
            self.outage.unwanted(topic);
            self.wanted_at = now.instant;
        }
    }

    /// Sets whether a client is here. Without one the connection is closed at once and gaps are
    /// forgotten; pauses in force stay in force.
    pub(crate) fn set_active(&mut self, is_active: bool, now: Now) {
        match (&self.phase, is_active) {
            (UplinkPhase::Idle, true) => {
                self.retry.begin(now.instant);
                match self.retry.not_before(now.instant) {
                    Some(until) => self.pause(until, now),
                    None => self.connect(now),
                }
            }
            (_, true) => {}
            (_, false) => self.leave(CLOSE_NORMAL, "nobody is there", now),
        }
    }

    /// The server stops: closes the connection. No client may come after that.
    pub(crate) fn stop(&mut self, now: Now) {
        self.leave(CLOSE_GOING_AWAY, "the server stops", now);
    }

    fn leave(&mut self, code: u16, why: &'static str, now: Now) {
        match self.phase {
            UplinkPhase::Idle => return,
            UplinkPhase::Down(_) => {}
            _ => {
                self.out.push(Output::Disconnect(code));
                self.note(Note::Closed { why });
            }
        }
        self.retry.ended(now.instant);
        self.phase = UplinkPhase::Idle;
        self.silence.forget();
        self.unanswered.clear();
        self.wanted.forget_asked();
        self.outage.forget();
        self.show(FeedState::Disconnected, now);
    }

    /// The connection to the endpoint is open.
    pub(crate) fn opened(&mut self, now: Now) {
        if !matches!(self.phase, UplinkPhase::Connecting) {
            return;
        }
        self.opened = now.instant;
        if self.rules.ready.is_empty() {
            self.greeted(now);
        } else {
            self.phase = UplinkPhase::Greeting(now.instant + self.feed.endpoint.connect_timeout);
        }
    }

    /// The endpoint cannot be reached, or asks for a pause.
    pub(crate) fn failed(&mut self, why: &str, retry_after: Option<Duration>, now: Now) {
        if matches!(self.phase, UplinkPhase::Connecting) {
            self.note(Note::Failed { why: self.censor.said(why) });
            let fall = retry_after.map_or(Fall::Failure, |pause| Fall::Pause(pause.min(MAX_RETRY_AFTER)));
            self.fall(fall, now);
        }
    }

    /// The connection ended, and not by this side. `close_code` is the code of the upstream's close
    /// frame, if there was one.
    pub(crate) fn lost(&mut self, close_code: Option<u16>, why: &str, now: Now) {
        match self.phase {
            UplinkPhase::Idle | UplinkPhase::Down(_) => return,
            UplinkPhase::Connecting => return self.failed(why, None, now),
            UplinkPhase::Greeting(_) | UplinkPhase::Authenticating(_) | UplinkPhase::Live(_) => {}
        }
        let why = self.censor.said(why);
        let is_cool_down = close_code.is_some_and(|code| self.feed.cool_down.codes.contains(&code));
        if is_cool_down {
            self.note(Note::CoolDown { said: why.clone() });
        }
        self.note(Note::Lost { code: close_code, why });
        self.fall(if is_cool_down { Fall::CoolDown } else { Fall::Failure }, now);
    }

    /// Returns everything to carry out, in order.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Output> {
        self.out.drain(..)
    }

    pub(crate) fn status(&self) -> FeedStatus {
        let attempt = if matches!(self.phase, UplinkPhase::Idle) { 0 } else { self.retry.attempt() };
        FeedStatus { state: self.state, since: self.since, attempt, fatal: self.retry.is_fatal() }
    }

    /// The number of topics that the upstream was asked for on this connection.
    pub(crate) fn upstream_topics(&self) -> usize {
        self.wanted.asked()
    }

    /// When the upstream last sent a frame, on any connection.
    pub(crate) fn last_message(&self) -> Option<Instant> {
        self.last_message
    }

    /// How many connections in a row were closed because no value came.
    pub(crate) fn mute(&self) -> u32 {
        self.silence.mute()
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    fn note(&mut self, note: Note) {
        self.out.push(Output::Note(note));
    }

    /// Puts out the status if it has changed.
    fn show(&mut self, state: FeedState, now: Now) {
        let is_connected = matches!(state, FeedState::Live | FeedState::Stale);
        if self.state != state {
            self.state = state;
            self.since = now.unix_ms;
        } else if is_connected || self.shown_attempt == self.status().attempt {
            return;
        }
        self.shown_attempt = self.status().attempt;
        self.out.push(Output::Feed(self.status()));
    }

    fn connect(&mut self, now: Now) {
        self.phase = UplinkPhase::Connecting;
        self.dialled = now.instant;
        self.note(Note::Connecting { attempt: self.retry.attempt() });
        self.show(FeedState::Connecting, now);
        self.out.push(Output::Connect);
    }

    fn pause(&mut self, until: Instant, now: Now) {
        self.phase = UplinkPhase::Down(until);
        let after = until.saturating_duration_since(now.instant);
        self.note(Note::Retry { after, attempt: self.retry.attempt() });
        self.show(FeedState::Down, now);
    }

    /// The upstream is ready for the opening frames and the credentials.
    fn greeted(&mut self, now: Now) {
        let frames = self.feed.on_open.iter().chain(self.feed.auth.as_ref().map(|auth| &auth.send));
        self.out.extend(frames.cloned().map(Output::Send));
        match &self.feed.auth {
            Some(auth) if !self.rules.success.is_empty() => {
                self.phase = UplinkPhase::Authenticating(now.instant + auth.timeout);
            }
            _ => self.go_live(now),
        }
    }

    fn go_live(&mut self, now: Now) {
        let heartbeat = self.feed.heartbeat.as_ref();
        let heartbeat = heartbeat.map(|it| UpstreamHeartbeat::new(it.interval, it.timeout, now.instant));
        self.phase =
            UplinkPhase::Live(Live { heartbeat, quiet_since: now.instant, last_message: now.unix_ms, complete: None });
        self.retry.live(now.instant);
        self.silence.broken(now.instant);
        self.note(Note::Live { after: now.instant.saturating_duration_since(self.dialled) });
        self.show(FeedState::Live, now);
        self.ask(now);
    }

    /// This side ends the connection because of what the upstream sent or failed to send.
    fn give_up(&mut self, note: Note, fall: Fall, now: Now) {
        self.note(note);
        self.out.push(Output::Disconnect(if matches!(fall, Fall::Failure) { CLOSE_PROTOCOL } else { CLOSE_NORMAL }));
        self.fall(fall, now);
    }

    fn fall(&mut self, fall: Fall, now: Now) {
        self.forget_connection();
        let after = match fall {
            Fall::Failure => self.retry.failed(Duration::ZERO, now.instant),
            Fall::Pause(pause) => self.retry.failed(pause, now.instant),
            Fall::CoolDown => self.retry.failed(self.feed.cool_down.pause, now.instant),
            Fall::Refusal => self.retry.refused(self.feed.fatal_retry, now.instant),
        };
        self.pause(now.instant + after, now);
    }

    /// Replaces the connection by a new one, without a pause: it has not failed.
    fn renew(&mut self, note: Note, now: Now) {
        self.note(note);
        self.forget_connection();
        self.retry.ended(now.instant);
        self.out.push(Output::Disconnect(CLOSE_NORMAL));
        self.connect(now);
    }

    fn forget_connection(&mut self) {
        if let UplinkPhase::Live(live) = &self.phase {
            self.outage.lost(self.wanted.topics(), live.last_message);
        }
        self.wanted.forget_asked();
        self.unanswered.clear();
    }
}
