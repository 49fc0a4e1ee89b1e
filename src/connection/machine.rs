//! Owns what a connection does with what it hears, as a pure machine: authentication, heartbeat, rates, bad frames.
//! Called by the `Connection` actor, which passes in messages and the time, and carries out the steps it gets back.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::heartbeat::Heartbeat;
use crate::{
    clock::{self, Now},
    config::ConnectionConfig,
    gate::{Operators, TokenBucket, TokenError, Tokens},
    protocol::{
        Cause, ClientFrame, Dialect, FrameError, GameId, HubId, PlayerId, Role, ServerFrame, Topic, error_code,
        server::write_pong,
    },
    room::messages::Action,
    ws::{Frame, error_frame, frame, json_frame},
};
use actix_web_actors::ws::Message;

/// P2: this many bad frames within [`ERROR_WINDOW`] end the connection.
const MAX_ERRORS: usize = 10;
const ERROR_WINDOW: Duration = Duration::from_secs(10);
/// A13: how long before its expiry a token is announced to expire.
const EXPIRY_WARNING_MS: u64 = 30_000;

/// Whom a connection talks to; it decides what a token must say and which frames are understood.
#[derive(Debug, Clone)]
pub enum Target {
    Seat {
        game: GameId,
        player: PlayerId,
    },
    /// The server's own hub: for operators.
    Hub {
        hub: HubId,
        /// What `gate::operator::is_local` says of the request.
        is_local: bool,
    },
}

/// What the machine wants done.
#[derive(Debug)]
pub enum Step {
    Nothing,
    Reply(Frame),
    /// A pong came this long after its ping.
    Measured(Duration),
    /// Enter the hub.
    Enter,
    Subscribe(Vec<Topic>),
    Unsubscribe(Vec<Topic>),
    /// Enter the room; nothing more is read until it has answered.
    Join {
        role: Role,
        session: Option<String>,
        seen: Option<u64>,
        authenticated: bool,
    },
    Act(Action),
    Leave,
    /// End the connection, an `error` frame first where one helps (A8).
    Close {
        cause: Cause,
        last: Option<Frame>,
    },
}

/// What came with the handshake (A11, R1, S10).
#[derive(Debug, Default)]
pub struct Credentials {
    pub token: Option<String>,
    pub session: Option<String>,
    pub seen: Option<u64>,
    /// `?spectate=1`; counts in development mode only.
    pub spectate: bool,
}

/// What all connections of the server have in common.
pub struct Terms {
    pub connection: ConnectionConfig,
    /// A7.
    pub auth_timeout: Duration,
    /// `None` in development mode (A10).
    pub tokens: Option<Tokens>,
    pub operators: Arc<Operators>,
}

/// What a token entitles to.
struct Pass {
    /// `None`: a subscriber, who has no role.
    role: Option<Role>,
    /// In unix ms; `None`: never.
    expiry: Option<u64>,
}

/// A token that is not accepted: the `error` frame's code and message.
type BadToken = (&'static str, String);

enum Phase {
    /// No token yet; what came with the handshake is kept for the `auth` frame.
    Waiting {
        deadline: Instant,
        credentials: Box<Credentials>,
    },
    Joined(Option<Role>),
}

/// One connection's dialogue.
pub struct Machine {
    terms: Arc<Terms>,
    target: Target,
    phase: Phase,
    heartbeat: Heartbeat,
    rate: TokenBucket,
    errors: Vec<Instant>,
    /// When the token runs out, in unix ms, and whether that was announced (A13).
    expiry: Option<(u64, bool)>,
    /// The deadlines may have moved closer since the last [`Machine::renewed`].
    renewed: bool,
}

impl Machine {
    /// A connection that was let in just now, and its first step.
    pub fn begin(terms: Arc<Terms>, target: Target, credentials: Credentials, now: Now) -> (Self, Step) {
        let limits = &terms.connection;
        let mut machine = Self {
            heartbeat: Heartbeat::new(limits.ping_interval, limits.ping_timeout, now.instant),
            rate: TokenBucket::new(limits.message_rate, limits.message_burst, now.instant),
            phase: Phase::Joined(None),
            errors: Vec::new(),
            expiry: None,
            renewed: false,
            terms,
            target,
        };
        // An open room does not look at tokens; the server's hub does whenever there is one.
        let token = credentials.token.as_deref().filter(|_| !machine.is_open_room());
        let step = if let Some(token) = token {
            machine.enter(token, credentials.session.clone(), credentials.seen, now)
        } else if machine.is_open(now) {
            let role = if credentials.spectate { Role::Spectator } else { Role::Player };
            machine.join(machine.is_open_room().then_some(role), credentials.session, credentials.seen, false)
        } else {
            let deadline = now.instant + machine.terms.auth_timeout;
            machine.phase = Phase::Waiting { deadline, credentials: Box::new(credentials) };
            Step::Nothing
        };
        (machine, step)
    }

    pub fn target(&self) -> &Target {
        &self.target
    }

    fn is_open_room(&self) -> bool {
        matches!(self.target, Target::Seat { .. }) && self.terms.tokens.is_none()
    }

    /// Whether one gets in without a token.
    fn is_open(&self, now: Now) -> bool {
        match &self.target {
            Target::Seat { .. } => self.terms.tokens.is_none(),
            Target::Hub { is_local, .. } => self.terms.operators.admit(None, *is_local, now.unix_ms / 1000).is_ok(),
        }
    }

    /// A message arrived.
    pub fn hear(&mut self, message: Message, now: Now) -> Step {
        self.heartbeat.alive();
        if !self.rate.take(now.instant) {
            return close(
                Cause::RateExceeded,
                "rate_exceeded",
                "more frames than MESSAGE_RATE a second and MESSAGE_BURST at once",
            );
        }
        match message {
            Message::Text(text) => match ClientFrame::parse(&text, self.dialect()) {
                Ok(frame) => self.obey(frame, now),
                Err(error) => self.complain(&error, now),
            },
            Message::Binary(_) => {
                let error = FrameError { code: error_code::UNSUPPORTED, message: "frames are JSON text", id: None };
                self.complain(&error, now)
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

    /// Something may be due. Call until it returns `Step::Nothing`.
    pub fn tick(&mut self, now: Now) -> Step {
        if let Phase::Waiting { deadline, .. } = &self.phase
            && *deadline <= now.instant
        {
            let message = "no valid token within AUTH_TIMEOUT_MS; send {\"type\":\"auth\",\"token\":…} first";
            return close(Cause::AuthTimeout, "auth_timeout", message);
        }
        if let Some((expiry, announced)) = &mut self.expiry {
            if *expiry <= now.unix_ms {
                return close(Cause::TokenExpired, "token_expired", "the token expired; reconnect with a new one");
            }
            let in_ms = *expiry - now.unix_ms;
            if !*announced && in_ms <= EXPIRY_WARNING_MS {
                *announced = true;
                return Step::Reply(json_frame(|out| ServerFrame::TokenExpiring { in_ms }.write(out)));
            }
        }
        if self.heartbeat.is_dead(now.instant) {
            return close(Cause::HeartbeatTimeout, "heartbeat_timeout", "no frame within WS_PING_TIMEOUT of a ping");
        }
        if self.heartbeat.ping_is_due(now.instant) {
            // It comes back in the pong, so that nothing has to be remembered.
            let sent_us = clock::since_start(now.instant).as_micros() as u64;
            let mut both = frame::ping(&sent_us.to_be_bytes()).to_vec();
            both.extend_from_slice(&json_frame(|out| ServerFrame::Ping { time: now.unix_ms }.write(out)));
            return Step::Reply(both.into());
        }
        Step::Nothing
    }

    /// When [`Machine::tick`] is needed next.
    pub fn next_deadline(&self, now: Now) -> Instant {
        let mut due = self.heartbeat.next_deadline();
        if let Phase::Waiting { deadline, .. } = &self.phase {
            due = due.min(*deadline);
        }
        if let Some((expiry, announced)) = self.expiry {
            let at = if announced { expiry } else { expiry.saturating_sub(EXPIRY_WARNING_MS) };
            let wait = Duration::from_millis(at.saturating_sub(now.unix_ms));
            due = due.min(now.instant + wait);
        }
        due
    }

    /// Whether a token was accepted since the last call: only then can a deadline come sooner than it was.
    pub fn renewed(&mut self) -> bool {
        std::mem::take(&mut self.renewed)
    }

    fn dialect(&self) -> Dialect {
        match self.target {
            Target::Seat { .. } => Dialect::Game,
            Target::Hub { .. } => Dialect::Hub,
        }
    }

    fn obey(&mut self, frame: ClientFrame, now: Now) -> Step {
        match frame {
            ClientFrame::Ping { nonce } => Step::Reply(json_frame(|out| write_pong(out, nonce.as_ref(), now.unix_ms))),
            ClientFrame::Pong => Step::Nothing,
            ClientFrame::Auth { token, session, seq } => self.authenticate(token, session, seq, now),
            other => match self.phase {
                Phase::Waiting { .. } => {
                    reply_error(error_code::AUTH_REQUIRED, "send {\"type\":\"auth\",\"token\":…} first", None)
                }
                Phase::Joined(role) => command(role, other),
            },
        }
    }

    fn authenticate(&mut self, token: Option<String>, session: Option<String>, seq: Option<u64>, now: Now) -> Step {
        if self.is_open(now) {
            // Development mode joined at once; it is too late for this session, and silence would lose events.
            return match session {
                Some(_) if self.is_open_room() => reply_error(
                    error_code::INVALID_FIELD,
                    "this server is open: resume with ?session=…&seq=… when connecting",
                    None,
                ),
                _ => Step::Nothing,
            };
        }
        match &mut self.phase {
            Phase::Waiting { credentials, .. } => {
                let session = session.or_else(|| credentials.session.take());
                let seen = seq.or(credentials.seen);
                self.enter(token.as_deref().unwrap_or_default(), session, seen, now)
            }
            Phase::Joined(role) => {
                let role = *role;
                match self.verify(token.as_deref().unwrap_or_default(), now) {
                    Ok(pass) if pass.role == role => {
                        self.expire(pass.expiry);
                        Step::Nothing
                    }
                    Ok(_) => reply_error(error_code::FORBIDDEN, "a new token must keep the role", None),
                    Err(bad) => refuse_token(&bad),
                }
            }
        }
    }

    fn enter(&mut self, token: &str, session: Option<String>, seen: Option<u64>, now: Now) -> Step {
        match self.verify(token, now) {
            Ok(pass) => {
                self.expire(pass.expiry);
                self.join(pass.role, session, seen, true)
            }
            Err(bad) => refuse_token(&bad),
        }
    }

    fn join(&mut self, role: Option<Role>, session: Option<String>, seen: Option<u64>, authenticated: bool) -> Step {
        self.phase = Phase::Joined(role);
        match role {
            Some(role) => Step::Join { role, session, seen, authenticated },
            None => Step::Enter,
        }
    }

    fn expire(&mut self, expiry: Option<u64>) {
        self.expiry = expiry.map(|expiry| (expiry, false));
        self.renewed = true;
    }

    fn verify(&self, token: &str, now: Now) -> Result<Pass, BadToken> {
        let now_secs = now.unix_ms / 1000;
        let (role, expires_at) = match (&self.target, &self.terms.tokens) {
            (Target::Seat { game, player }, Some(tokens)) => {
                let verified = tokens.verify(token, game.as_str(), player.as_str(), now_secs);
                let identity = verified.map_err(|error| (error.code(), error.to_string()))?;
                (Some(identity.role), Some(identity.expires_at))
            }
            (Target::Seat { .. }, None) => {
                return Err((TokenError::Malformed.code(), TokenError::Malformed.to_string()));
            }
            (Target::Hub { is_local, .. }, _) => {
                let admitted = self.terms.operators.admit(Some(token), *is_local, now_secs);
                (None, admitted.map_err(|error| (error.code(), error.to_string()))?)
            }
        };
        Ok(Pass { role, expiry: expires_at.map(|secs| secs.saturating_mul(1000)) })
    }

    /// P2: the error is answered, and counted.
    fn complain(&mut self, error: &FrameError, now: Now) -> Step {
        self.errors.retain(|at| now.instant.saturating_duration_since(*at) < ERROR_WINDOW);
        self.errors.push(now.instant);
        let FrameError { code, message, id } = *error;
        let last = error_frame(code, message, id);
        if self.errors.len() >= MAX_ERRORS {
            return Step::Close { cause: Cause::TooManyErrors, last: Some(last) };
        }
        Step::Reply(last)
    }
}

/// A pong that answers no ping of ours (RFC 6455 section 5.5.3) measures nothing.
fn measured(payload: &[u8], now: Now) -> Step {
    let Ok(sent_us) = payload.try_into().map(u64::from_be_bytes) else { return Step::Nothing };
    let latency = clock::since_start(now.instant).checked_sub(Duration::from_micros(sent_us));
    latency.map_or(Step::Nothing, Step::Measured)
}

fn command(role: Option<Role>, frame: ClientFrame) -> Step {
    if role == Some(Role::Spectator) && !matches!(frame, ClientFrame::Leave) {
        let id = match frame {
            ClientFrame::Send { id, .. } | ClientFrame::Patch { id, .. } => id,
            _ => None,
        };
        return reply_error(error_code::FORBIDDEN, "a spectator may send ping, pong, auth and leave", id);
    }
    match frame {
        ClientFrame::Send { id, data, to } => Step::Act(Action::Send { id, data, to }),
        ClientFrame::Volatile { name, data, to } => Step::Act(Action::Volatile { name, data, to }),
        ClientFrame::Patch { id, patch, if_seq } => Step::Act(Action::Patch { id, patch, if_seq }),
        ClientFrame::Leave => Step::Leave,
        ClientFrame::Subscribe { topics } => Step::Subscribe(topics),
        ClientFrame::Unsubscribe { topics } => Step::Unsubscribe(topics),
        ClientFrame::Auth { .. } | ClientFrame::Ping { .. } | ClientFrame::Pong => Step::Nothing,
    }
}

fn reply_error(code: &str, message: &str, id: Option<u64>) -> Step {
    Step::Reply(error_frame(code, message, id))
}

fn close(cause: Cause, code: &str, message: &str) -> Step {
    Step::Close { cause, last: Some(error_frame(code, message, None)) }
}

fn refuse_token((code, message): &BadToken) -> Step {
    close(Cause::AuthFailed, code, message)
}
