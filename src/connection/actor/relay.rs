//! Owns what a `Connection` to a proxy does: enters a proxy session and passes the client's
//! messages to it (section 7).

use std::time::Duration;

use actix::AsyncContext as _;
use actix_web_actors::ws::Message;

use super::{Connection, Context, Credentials, Joined, Local, Target, Terms};
use crate::{
    clock::Now,
    gate::{Guest, address::limit_key, token::MAX_TOKEN_BYTES},
    observe::log::{SecurityFields, security},
    protocol::{Cause, error_code},
    proxy::{Entered, EntryRefusal, Intake, VisitRequest},
    ws::{DecodeError, Errors, Pause},
};

/// The length of an `auth` frame with the longest token and its other fields.
const MAX_AUTH_BYTES: usize = MAX_TOKEN_BYTES + 1024;

/// Returns the longest message accepted at first. A client that is not yet authenticated gets no
/// larger bound than any other client.
pub(super) fn max_message_bytes(target: &Target, credentials: &Credentials, terms: &Terms, local: &Local) -> usize {
    let may_enter = terms.tokens.is_none() || credentials.token.is_some();
    match target {
        Target::Proxy { proxy, .. } if may_enter => local.proxy(proxy).map(|proxy| proxy.max_message_bytes()),
        _ => None,
    }
    .unwrap_or_else(|| {
        let max = terms.connection.max_message_bytes;
        // A token may be longer than any other message.
        if terms.tokens.is_some() { max.max(MAX_AUTH_BYTES) } else { max }
    })
}

/// Returns in which form a client of this target gets errors (X6).
pub(super) fn errors(target: &Target, local: &Local) -> Errors {
    match target {
        Target::Proxy { proxy, .. } => local.proxy(proxy).map_or(Errors::Nested, |proxy| proxy.errors()),
        _ => Errors::Plain,
    }
}

impl Connection {
    /// Returns the error's text, with the name of the setting that applies here.
    pub(super) fn words_of(&self, error: DecodeError) -> String {
        match (error, &self.place) {
            (DecodeError::TooBig, Some(Joined::Proxy(_))) => {
                let max = self.traffic.max_message_bytes.get();
                format!("a message over max_client_message_bytes, which is {max} at this proxy")
            }
            _ => error.to_string(),
        }
    }

    /// Enters the proxy session at once, as it is on this thread.
    pub(super) fn open_relay(&mut self, guest: &Guest, session: Option<&str>, seen: Option<u64>) {
        // A connection that is being closed must not open an upstream.
        let (Target::Proxy { proxy, query }, None) = (self.machine.target(), self.outbox.cause()) else { return };
        let Some(branch) = self.local.proxy(proxy) else {
            self.outbox.refuse(Cause::NoSuchProxy, "there is no such proxy");
            return;
        };
        let visit = VisitRequest {
            connection: self.number,
            outbox: &self.outbox,
            name: guest.name.as_deref(),
            role: &guest.role,
            address: limit_key(*self.machine.address()),
            session,
            seen,
            query: query.as_deref(),
            must_replace: self.machine.must_replace(),
        };
        match branch.enter(&visit) {
            Ok(Entered { handle, verdict }) => {
                self.traffic.max_message_bytes.set(branch.max_message_bytes());
                self.place = Some(Joined::Proxy(Box::new(handle)));
                self.machine.has_replaced();
                self.established = true;
                let fields = SecurityFields {
                    player: guest.name.as_deref(),
                    role: Some(&guest.role),
                    resume: Some(verdict.name()),
                    ..self.log_fields()
                };
                security(&self.local.logger, "WS_CONNECTION_ESTABLISHED", &fields);
                self.object();
            }
            Err(EntryRefusal::Off(why)) => {
                self.outbox.refuse(Cause::NoSuchProxy, &why);
            }
            Err(EntryRefusal::NothingReplaced) => self.end(self.machine.refuse_over_limit()),
            Err(EntryRefusal::Role) => {
                let message = format!("the role {:?} may not use this proxy", guest.role);
                self.outbox.refuse_with(Cause::AuthFailed, error_code::FORBIDDEN, &message);
            }
            Err(EntryRefusal::Budget(exceeded)) => {
                self.outbox.refuse(Cause::BudgetExceeded, &exceeded.to_string());
            }
        }
    }

    pub(super) fn relay(&mut self, message: Message, context: &mut Context<Self>) {
        let Some(Joined::Proxy(relay)) = &self.place else { return };
        if let Message::Close(reason) = message {
            relay.hang_up(self.number, reason.as_ref());
            let code = reason.map_or(1005, |reason| reason.code.into());
            self.outbox.close(Cause::ClientClosed(code), None);
            return;
        }
        match relay.take(self.number, message) {
            Intake::Yes => {}
            Intake::Refused(error) => {
                let step = self.machine.bad_frame(&error, Now::read());
                self.carry_out(step, context);
            }
            Intake::Exceeded(exceeded) => {
                self.outbox.refuse(Cause::BudgetExceeded, &exceeded.to_string());
            }
        }
    }

    /// Passes a pong to the proxy session, as it may acknowledge received frames. Returns `true` if
    /// the session asked for it: such a pong does not count as a frame of the client (S5).
    pub(super) fn acknowledge(&self, message: &Message) -> bool {
        match (message, &self.place) {
            (Message::Pong(payload), Some(Joined::Proxy(relay))) => relay.acknowledge(self.number, payload),
            _ => false,
        }
    }

    /// S5a: reads nothing for the length of `pause`.
    pub(super) fn slow_down(&self, pause: Duration, context: &mut Context<Self>) {
        self.outbox.pause_reading(Pause::Rate, true);
        context.run_later(pause, |connection, _| connection.outbox.pause_reading(Pause::Rate, false));
    }

    /// While the upstream accepts nothing, or its rate is used up, the client is not read. Exempts
    /// the client from the heartbeat for that time.
    pub(super) fn exempt(&mut self, now: Now) {
        if self.machine.target().is_raw() && self.outbox.take_pause(now.instant).is_some() {
            self.machine.exempt();
        }
    }
}
