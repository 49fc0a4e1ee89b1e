//! Owns how a connection reacts to frames and deadlines, as a pure state machine: authentication,
//! heartbeat, rates, bad frames.

mod claim;
mod due;
mod entry;

use std::{
    net::IpAddr,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Terms,
    heartbeat::{Heartbeat, Rhythm},
    rates::Rates,
};
use crate::{
    clock::{self, Now},
    gate::{Standing, Tokens},
    protocol::{
        Cause, ClientFrame, Dialect, DisplayName, FrameError, HubRequest, Refusal, RoomRequest, SessionRequest,
        error_code, server::write_pong,
    },
    service::Target,
    ws::{Arrived, Errors, Frame, frame, json_frame},
};
use actix_web_actors::ws::Message;
use ecow::EcoVec;

/// P2: this many bad frames within [`ERROR_WINDOW`] end the connection.
const MAX_ERRORS: usize = 10;
const ERROR_WINDOW: Duration = Duration::from_secs(10);
/// A13: how long before a token's expiry the client is warned.
const EXPIRY_WARNING_MS: u64 = 30_000;

/// How long a client may stay silent before it gets a hint that a token is awaited. Shorter than it
/// takes a person to believe that the connection hangs.
const HINT_AFTER: Duration = Duration::from_secs(3);
const AUTH_HINT: &str = "send {\"type\":\"auth\",\"token\":…} first";
/// What the connection shall do next.
#[derive(Debug)]
pub(super) enum Step {
    Nothing,
    Reply(Frame),
    /// A pong arrived this long after its ping.
    Measured(Duration),
    /// Enter the target. Nothing more is read until it has let the client in.
    Enter {
        standing: Standing,
        session: Option<String>,
        seen: Option<u64>,
        authenticated: bool,
    },
    /// Pass this request to the service.
    Room(RoomRequest),
    /// Pass this request to the service.
    Hub(HubRequest),
    /// Pass this message to the service unparsed.
    Pass(Message),
    /// Change the client's display name (S11).
    Rename(DisplayName),
    /// Wait until the issuers' keys have changed since `round`, or until `until`; then call
    /// [`Machine::judge`].
    AwaitKeys {
        round: u64,
        until: Instant,
    },
    /// Close the connection, after an `error` frame where one helps (A8).
    Close {
        cause: Cause,
        last: Option<Frame>,
    },
}

/// What the handshake carried (A11, R1, S10).
#[derive(Debug, Default)]
pub(crate) struct Credentials {
    pub token: Option<String>,
    pub session: Option<String>,
    pub seen: Option<u64>,
    /// `?spectate=1`; used in development mode only.
    pub spectate: bool,
    /// `?name=` (S11).
    pub name: Option<DisplayName>,
    /// `?names=1` (S11).
    pub wants_names: bool,
    /// Texts about invalid fields of the query.
    pub objections: EcoVec<&'static str>,
}

enum ConnectionPhase {
    /// Without a token yet. Boxed: most connections are past this phase, and each has room for the
    /// largest one.
    Waiting(Box<Unauthenticated>),
    Joined(Standing),
}

struct Unauthenticated {
    deadline: Instant,
    /// When to send the hint that a token is awaited; `None` once it was sent or the client has
    /// sent a frame.
    hint_at: Option<Instant>,
    /// What the handshake carried, to complete the `auth` frame.
    credentials: Credentials,
}

/// In milliseconds since 1970.
struct TokenExpiry {
    at: u64,
    /// When to warn the client; `None` once it was warned, or if it never is.
    announce_at: Option<u64>,
}

fn rhythm(terms: &Terms) -> Rhythm {
    Rhythm { interval: terms.connection.ping_interval, timeout: terms.connection.ping_timeout }
}

/// A token whose verdict waits for keys (A11a).
struct Judged {
    token: String,
    /// The session secret and the `seq` to join with. `None`: the token replaces an earlier one.
    enters: Option<(Option<String>, Option<u64>)>,
    until: Instant,
}

/// The protocol state of one connection.
pub(super) struct Machine {
    terms: Arc<Terms>,
    target: Rc<dyn Target>,
    /// Messages pass through unparsed once the client has entered.
    is_raw: bool,
    phase: ConnectionPhase,
    heartbeat: Heartbeat,
    rates: Rates,
    errors: Errors,
    /// The times of the recent bad frames (P2).
    mistakes: EcoVec<Instant>,
    /// How long nothing more shall be read, because the client exceeded a rate (S5a). Zero: no
    /// pause.
    pause: Duration,
    /// When the token expires (A13).
    expiry: Option<TokenExpiry>,
    /// A token that waits for its key.
    judged: Option<Box<Judged>>,
    address: IpAddr,
    /// A5a: the limit that this connection exceeds, until it has replaced another one.
    over_limit: Option<Box<Refusal>>,
    /// The player's display name. With a token, only the name in the token counts (S11).
    name: Option<DisplayName>,
    wants_names: bool,
    /// See [`Machine::objections`].
    objections: EcoVec<&'static str>,
    /// A deadline may have moved closer since the last call of [`Machine::renewed`].
    renewed: bool,
}

impl Machine {
    /// Starts with a connection that was just admitted, perhaps over a limit (A5a). Returns its
    /// first step.
    pub(super) fn begin(
        terms: Arc<Terms>,
        target: Rc<dyn Target>,
        address: IpAddr,
        mut credentials: Credentials,
        over_limit: Option<Box<Refusal>>,
        now: Now,
    ) -> (Self, Step) {
        let limits = &terms.connection;
        let mut machine = Self {
            heartbeat: Heartbeat::new(rhythm(&terms), now.instant),
            rates: Rates::new(limits, now.instant),
            phase: ConnectionPhase::Joined(Standing::Operator),
            errors: target.errors(),
            mistakes: EcoVec::new(),
            pause: Duration::ZERO,
            expiry: None,
            judged: None,
            address,
            over_limit,
            name: credentials.name.take(),
            wants_names: credentials.wants_names,
            objections: std::mem::take(&mut credentials.objections),
            renewed: false,
            is_raw: target.dialect() == Dialect::Proxy,
            terms,
            target,
        };
        let token =
            credentials.token.as_deref().filter(|_| machine.terms.guards.uses_tokens(machine.target.resource()));
        let step = if let Some(token) = token {
            machine.present(token.to_owned(), Some((credentials.session.clone(), credentials.seen)), now)
        } else if let Some(standing) = machine.open_standing(credentials.spectate) {
            machine.join(standing, credentials.session, credentials.seen, false)
        } else {
            let timeout = machine.terms.auth_timeout;
            let is_over = machine.over_limit.is_some();
            let deadline = now.instant + if is_over { timeout.min(claim::TIMEOUT) } else { timeout };
            let hint_at = (!machine.is_raw).then(|| now.instant + HINT_AFTER);
            machine.phase = ConnectionPhase::Waiting(Box::new(Unauthenticated { deadline, hint_at, credentials }));
            Step::Nothing
        };
        (machine, step)
    }

    fn rhythm(&self) -> Rhythm {
        rhythm(&self.terms)
    }

    /// Returns the client's address.
    pub(super) fn address(&self) -> &IpAddr {
        &self.address
    }

    pub(super) fn target(&self) -> &Rc<dyn Target> {
        &self.target
    }

    /// Returns whether messages pass through unparsed once the client has entered.
    pub(super) fn is_raw(&self) -> bool {
        self.is_raw
    }

    /// Returns what the client was admitted as; `None` while it has not shown a token.
    pub(super) fn standing(&self) -> Option<&Standing> {
        match &self.phase {
            ConnectionPhase::Waiting(_) => None,
            ConnectionPhase::Joined(standing) => Some(standing),
        }
    }

    pub(super) fn tokens(&self) -> Option<&Arc<Tokens>> {
        self.terms.guards.tokens.as_ref()
    }

    /// Returns the player's display name (S11).
    pub(super) fn name(&self) -> Option<&DisplayName> {
        self.name.as_ref()
    }

    /// Returns whether the client wants display names (S11).
    pub(super) fn wants_names(&self) -> bool {
        self.wants_names
    }

    /// Takes the objections to fields of the query and of the first frame, as `error` frames. Send
    /// them behind the `welcome`, which must be the first frame (3.2).
    pub(super) fn objections(&mut self) -> impl Iterator<Item = Frame> + use<> {
        let (objections, errors) = (std::mem::take(&mut self.objections), self.errors);
        objections.into_iter().filter_map(move |message| errors.frame(error_code::INVALID_FIELD, message, None))
    }

    /// Returns the standing of a client without a token.
    fn open_standing(&self, spectates: bool) -> Option<Standing> {
        self.terms.guards.open_standing(self.target.resource(), spectates)
    }

    /// Handles a frame. `was_asked_for`: the server asked for it, so that it does not count against
    /// the rates. Call [`Machine::pause`] afterwards.
    pub(super) fn on_message(&mut self, arrived: Arrived, was_asked_for: bool, now: Now) -> Step {
        let Arrived { message, payload_bytes } = arrived;
        self.heartbeat.alive();
        if let ConnectionPhase::Waiting(waiting) = &mut self.phase {
            waiting.hint_at = None;
        }
        // The rates count the frame even if it is refused below.
        if self.is_raw {
            if !was_asked_for {
                self.pause = self.rates.overdraw(payload_bytes, now.instant);
            }
        } else if let Err(message) = self.rates.take(payload_bytes, now.instant) {
            return self.close(Cause::RateExceeded, message);
        }
        let is_raw = self.is_raw && matches!(self.phase, ConnectionPhase::Joined(_));
        match message {
            Message::Text(_) | Message::Binary(_) | Message::Close(_) if is_raw => Step::Pass(message),
            Message::Text(text) => {
                let step = match ClientFrame::parse(&text, self.target.dialect()) {
                    // A longer text was only accepted because an `auth` frame may be longer.
                    Ok(frame)
                        if text.len() > self.terms.connection.max_message_bytes
                            && !matches!(frame, ClientFrame::Session(SessionRequest::Auth { .. })) =>
                    {
                        self.close(Cause::MessageTooBig, "the message is longer than MAX_MESSAGE_BYTES")
                    }
                    Ok(frame) => self.on_frame(frame, now),
                    Err(error) => self.bad_frame(&error, now),
                };
                self.first_frame_decides(step)
            }
            Message::Binary(_) => {
                let error = FrameError { code: error_code::UNSUPPORTED, message: "frames are JSON text", id: None };
                let step = self.bad_frame(&error, now);
                self.first_frame_decides(step)
            }
            Message::Ping(payload) => Step::Reply(frame::pong(&payload)),
            Message::Close(reason) => {
                let code = reason.map_or(1005, |reason| u16::from(reason.code));
                Step::Close { cause: Cause::ClientClosed(code), last: None }
            }
            Message::Pong(payload) => measured(&payload, now),
            Message::Continuation(_) | Message::Nop => Step::Nothing,
        }
    }

    /// The client was not read for a while, so its silence does not count against the heartbeat.
    /// Its rates stay as they are: here they only slow the client down and never close it.
    pub(super) fn exempt(&mut self) {
        self.heartbeat.alive();
    }

    /// Takes how long nothing more shall be read (S5a), if at all.
    pub(super) fn pause(&mut self) -> Option<Duration> {
        Some(std::mem::take(&mut self.pause)).filter(|pause| !pause.is_zero())
    }

    /// Returns whether a token was accepted since the last call. Only then can a deadline have
    /// moved closer.
    pub(super) fn renewed(&mut self) -> bool {
        std::mem::take(&mut self.renewed)
    }

    fn on_frame(&mut self, frame: ClientFrame, now: Now) -> Step {
        let request = match frame {
            ClientFrame::Session(SessionRequest::Ping { nonce }) => {
                return Step::Reply(json_frame(|out| write_pong(out, nonce.as_ref(), now.unix_ms)));
            }
            ClientFrame::Session(SessionRequest::Pong) => return Step::Nothing,
            ClientFrame::Session(SessionRequest::Auth { token, session, seq, name }) => {
                return self.authenticate(token, (session, seq), name, now);
            }
            ClientFrame::Room(request) => Step::Room(request),
            ClientFrame::Hub(request) => Step::Hub(request),
        };
        match &self.phase {
            ConnectionPhase::Waiting(_) => self.reply_error(error_code::AUTH_REQUIRED, AUTH_HINT, None),
            ConnectionPhase::Joined(_) => request,
        }
    }

    /// P2: replies to a bad frame and counts it.
    pub(super) fn bad_frame(&mut self, error: &FrameError, now: Now) -> Step {
        self.mistakes.retain(|at| now.instant.saturating_duration_since(*at) < ERROR_WINDOW);
        self.mistakes.push(now.instant);
        let FrameError { code, message, id } = *error;
        let last = self.errors.frame(code, message, id);
        if self.mistakes.len() >= MAX_ERRORS {
            return Step::Close { cause: Cause::TooManyErrors, last };
        }
        last.map_or(Step::Nothing, Step::Reply)
    }

    fn reply_error(&self, code: &str, message: &str, id: Option<u64>) -> Step {
        self.errors.frame(code, message, id).map_or(Step::Nothing, Step::Reply)
    }

    /// Closes after an `error` frame whose code is the cause's name. `message` is for people.
    fn close(&self, cause: Cause, message: &str) -> Step {
        Step::Close { cause, last: self.errors.frame(cause.name(), message, None) }
    }
}

/// Ignores a pong that answers no ping of the server (RFC 6455 section 5.5.3).
fn measured(payload: &[u8], now: Now) -> Step {
    let Ok(sent_us) = payload.try_into().map(u64::from_be_bytes) else { return Step::Nothing };
    let latency = clock::since_start(now.instant).checked_sub(Duration::from_micros(sent_us));
    latency.map_or(Step::Nothing, Step::Measured)
}
