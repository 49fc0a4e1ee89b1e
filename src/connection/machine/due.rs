//! Owns the deadlines of a connection: the wait for a token, the token's expiry, the heartbeat. A
//! part of `Machine`.

use std::time::{Duration, Instant};

use super::{AUTH_HINT, ConnectionPhase, Machine, Step};
use crate::{
    clock::{self, Now},
    protocol::{Cause, ServerFrame, error_code},
    ws::{frame, json_frame},
};

impl Machine {
    /// Handles the first deadline that is due. Call until it returns `Step::Nothing`.
    pub(crate) fn tick(&mut self, now: Now) -> Step {
        if let ConnectionPhase::Waiting(waiting) = &self.phase
            && waiting.deadline <= now.instant
        {
            if self.must_replace() {
                return self.refuse_over_limit();
            }
            let message = "no valid token within AUTH_TIMEOUT_MS; send {\"type\":\"auth\",\"token\":…} first";
            return self.close(Cause::AuthTimeout, message);
        }
        if let ConnectionPhase::Waiting(waiting) = &mut self.phase
            && waiting.hint_at.take_if(|at| *at <= now.instant).is_some()
        {
            return self.reply_error(error_code::AUTH_REQUIRED, AUTH_HINT, None);
        }
        if let Some(expiry) = &mut self.expiry {
            if expiry.at <= now.unix_ms {
                return self.close(Cause::TokenExpired, "the token expired; reconnect with a new one");
            }
            if expiry.announce_at.take_if(|at| *at <= now.unix_ms).is_some() {
                let in_ms = expiry.at - now.unix_ms;
                return Step::Reply(json_frame(|out| ServerFrame::TokenExpiring { in_ms }.write(out)));
            }
        }
        if self.heartbeat.is_dead(self.rhythm(), now.instant) {
            return self.close(Cause::HeartbeatTimeout, "no frame within WS_PING_TIMEOUT of a ping");
        }
        if self.heartbeat.ping_is_due(self.rhythm(), now.instant) {
            // The pong returns this timestamp, so that the server need not store it.
            let sent_us = clock::since_start(now.instant).as_micros() as u64;
            let ping = frame::ping(&sent_us.to_be_bytes());
            if self.is_raw {
                return Step::Reply(ping);
            }
            let mut both = ping.to_vec();
            both.extend_from_slice(&json_frame(|out| ServerFrame::Ping { time: now.unix_ms }.write(out)));
            return Step::Reply(both.into());
        }
        Step::Nothing
    }

    /// Returns when [`Machine::tick`] is due next.
    pub(crate) fn next_deadline(&self, now: Now) -> Instant {
        let mut due = self.heartbeat.next_deadline(self.rhythm());
        if let ConnectionPhase::Waiting(waiting) = &self.phase {
            due = due.min(waiting.hint_at.unwrap_or(waiting.deadline)).min(waiting.deadline);
        }
        if let Some(expiry) = &self.expiry {
            let at = expiry.announce_at.unwrap_or(expiry.at);
            let wait = Duration::from_millis(at.saturating_sub(now.unix_ms));
            due = due.min(now.instant + wait);
        }
        due
    }
}
