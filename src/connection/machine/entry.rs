//! Owns how a connection is authenticated: its token is verified at once or when the issuer's keys
//! have arrived, and may later be replaced.

use super::{
    ConnectionPhase, Credentials, EXPIRY_WARNING_MS, Judged, Machine, Step, TokenExpiry, Unauthenticated, claim,
};
use crate::{
    clock::Now,
    gate::{Asking, BadToken, Pass, Resource, Standing, Unverified},
    protocol::{Cause, DisplayName, InvalidName, error_code},
};

impl Machine {
    pub(super) fn authenticate(
        &mut self,
        token: Option<String>,
        (session, seq): (Option<String>, Option<u64>),
        name: Option<Result<DisplayName, InvalidName>>,
        now: Now,
    ) -> Step {
        let is_seated = matches!(self.target.resource(), Resource::Seat { .. });
        let name = name.filter(|_| is_seated);
        if let Some(standing) = self.open_standing(false) {
            // In development mode the connection has joined already, so it is too late to resume a
            // session. Without an error the client would lose events unnoticed.
            return match session {
                Some(_) if matches!(standing, Standing::Seated(_)) => self.reply_error(
                    error_code::INVALID_FIELD,
                    "this server is open: resume with ?session=…&seq=… when connecting",
                    None,
                ),
                _ => match name {
                    None => Step::Nothing,
                    Some(Ok(name)) => Step::Rename(name),
                    Some(Err(_)) => self.reply_error(error_code::INVALID_FIELD, InvalidName::RULE, None),
                },
            };
        }
        let enters = match &mut self.phase {
            ConnectionPhase::Waiting(waiting) => {
                // With a token only the token's name counts, but an invalid name in the frame is
                // still reported.
                self.objections.extend(matches!(name, Some(Err(_))).then_some(InvalidName::RULE));
                // The session secret of a proxy is in the query, as it selects the shard. One in
                // the frame comes too late.
                let session = session.filter(|_| !self.is_raw).or_else(|| waiting.credentials.session.take());
                Some((session, seq.or(waiting.credentials.seen)))
            }
            ConnectionPhase::Joined(_) => None,
        };
        self.present(token.unwrap_or_default(), enters, now)
    }

    /// Verifies a token. `enters` is what to join with; `None` if the token replaces an earlier
    /// one.
    pub(super) fn present(&mut self, token: String, enters: Option<(Option<String>, Option<u64>)>, now: Now) -> Step {
        let timeout = self.terms.auth_timeout;
        // A connection over a limit gets less time.
        let until = now.instant + if self.must_replace() { timeout.min(claim::TIMEOUT) } else { timeout };
        self.judge_token(Box::new(Judged { token, enters, until }), now)
    }

    /// Verifies the waiting token again: the issuers' keys have changed, or the wait is over.
    pub(crate) fn judge(&mut self, now: Now) -> Step {
        // The client was not read meanwhile, so its silence does not count.
        self.heartbeat.alive();
        match self.judged.take() {
            Some(judged) => {
                let step = self.judge_token(judged, now);
                self.first_frame_decides(step)
            }
            None => Step::Nothing,
        }
    }

    fn judge_token(&mut self, judged: Box<Judged>, now: Now) -> Step {
        let asking = Asking { address: self.address, unix_secs: now.unix_ms / 1000, instant: now.instant };
        match self.terms.guards.verify(self.target.resource(), &judged.token, asking) {
            Ok(pass) => match judged.enters {
                Some((session, seen)) => {
                    self.expire(&pass, now);
                    self.name = pass.name;
                    self.join(pass.standing, session, seen, true)
                }
                None => self.renew(&pass, now),
            },
            // A5 takes precedence over A7.
            Err(Unverified::Bad(_)) if self.must_replace() => self.refuse_over_limit(),
            Err(Unverified::Bad(bad)) => self.refuse_token(&bad),
            Err(Unverified::Pending { .. }) if judged.until <= now.instant => {
                let message = "the issuer's keys are not known at the moment; reconnect later";
                self.refuse_token(&BadToken {
                    cause: Cause::Unavailable,
                    code: error_code::UNAVAILABLE,
                    message: message.into(),
                })
            }
            Err(Unverified::Pending { round }) => {
                let until = judged.until;
                if judged.enters.is_some() {
                    let waiting =
                        Unauthenticated { deadline: until, hint_at: None, credentials: Credentials::default() };
                    self.phase = ConnectionPhase::Waiting(Box::new(waiting));
                }
                self.judged = Some(judged);
                Step::AwaitKeys { round, until }
            }
        }
    }

    /// A13: accepts another token for the same standing.
    fn renew(&mut self, pass: &Pass, now: Now) -> Step {
        match &self.phase {
            ConnectionPhase::Joined(standing) if pass.standing == *standing => {
                self.expire(pass, now);
                pass.name.clone().map_or(Step::Nothing, Step::Rename)
            }
            _ => self.reply_error(error_code::FORBIDDEN, "a new token must keep the role", None),
        }
    }

    pub(super) fn join(
        &mut self,
        standing: Standing,
        session: Option<String>,
        seen: Option<u64>,
        authenticated: bool,
    ) -> Step {
        self.phase = ConnectionPhase::Joined(standing.clone());
        Step::Enter { standing, session, seen, authenticated }
    }

    fn expire(&mut self, pass: &Pass, now: Now) {
        self.expiry = pass.expiry.map(|expiry| {
            let at = expiry.at.saturating_mul(1000);
            let announce_at = if expiry.is_late { now.unix_ms } else { at.saturating_sub(EXPIRY_WARNING_MS) };
            TokenExpiry { at, announce_at: Some(announce_at).filter(|_| !self.is_raw) }
        });
        self.renewed = true;
    }

    fn refuse_token(&self, bad: &BadToken) -> Step {
        Step::Close { cause: bad.cause, last: self.errors.frame(bad.code, &bad.message, None) }
    }
}
