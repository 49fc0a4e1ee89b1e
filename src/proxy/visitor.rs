//! Owns a connection's part of a proxy: how a client enters a session (section 7), and what its
//! messages do there.

use std::{rc::Rc, time::Instant};

use actix_web_actors::ws::Message;

use super::{
    handle::ProxyHandle,
    local_proxy::{Admitted, LocalProxy, Unadmitted, VisitRequest},
    session::Intake,
};
use crate::{
    gate::Resource,
    observe::log::SecurityFields,
    protocol::{Cause, Dialect, ProxyId, error_code},
    service::{Entered, Entering, Entry, EntryRefusal, Flow, Service, Target},
    ws::{DecodeError, Errors, Frame, Outbox, Policy},
};

/// A proxy that a socket asks for.
pub(crate) struct ProxyTarget {
    pub id: ProxyId,
    /// `None` if there is no such proxy.
    pub proxy: Option<Rc<LocalProxy>>,
    /// The raw query. The proxy's configuration selects what of it is passed to the upstream.
    pub query: Option<String>,
}

/// What a connection holds of its proxy session.
struct Visitor {
    connection: u64,
    handle: ProxyHandle,
    outbox: Rc<Outbox>,
    max_message_bytes: usize,
}

impl Target for ProxyTarget {
    fn resource(&self) -> Resource<'_> {
        Resource::Proxy(self.id.as_str())
    }

    fn dialect(&self) -> Dialect {
        Dialect::Proxy
    }

    /// The form in which the upstream's clients expect them (X6).
    fn errors(&self) -> Errors {
        self.proxy.as_ref().map_or(Errors::Nested, |proxy| proxy.errors())
    }

    fn max_message_bytes(&self) -> Option<usize> {
        self.proxy.as_ref().map(|proxy| proxy.max_message_bytes())
    }

    fn log_fields(&self) -> SecurityFields<'_> {
        SecurityFields { proxy: Some(self.id.as_str()), ..Default::default() }
    }

    /// Enters at once, as the session is on this thread.
    fn enter(self: Rc<Self>, entry: Entry) -> Entering {
        Entering::Done(self.visit(entry))
    }
}

impl ProxyTarget {
    fn visit(&self, entry: Entry) -> Result<Entered, EntryRefusal> {
        let proxy =
            self.proxy.as_ref().ok_or_else(|| EntryRefusal::because(Cause::NoSuchProxy, "there is no such proxy"))?;
        let role = entry.standing.role().unwrap_or_default();
        let visit = VisitRequest {
            connection: entry.connection,
            outbox: &entry.outbox,
            name: entry.standing.name(),
            role,
            address: entry.address,
            session: entry.session.as_deref(),
            seen: entry.seen,
            query: self.query.as_deref(),
            must_replace: entry.must_replace,
        };
        match proxy.enter(&visit) {
            Ok(Admitted { handle, verdict }) => {
                let max_message_bytes = proxy.max_message_bytes();
                let visitor = Visitor { connection: entry.connection, handle, outbox: entry.outbox, max_message_bytes };
                Ok(Entered { service: Box::new(visitor), resume: Some(verdict) })
            }
            Err(Unadmitted::Off(why)) => Err(EntryRefusal::because(Cause::NoSuchProxy, why)),
            Err(Unadmitted::NothingReplaced) => Err(EntryRefusal::NothingReplaced),
            Err(Unadmitted::Role) => Err(EntryRefusal::Closed {
                cause: Cause::AuthFailed,
                code: error_code::FORBIDDEN,
                message: format!("the role {role:?} may not use this proxy"),
            }),
            Err(Unadmitted::Budget(exceeded)) => {
                Err(EntryRefusal::because(Cause::BudgetExceeded, exceeded.to_string()))
            }
        }
    }
}

impl Service for Visitor {
    fn message(&mut self, message: Message) -> Flow {
        if let Message::Close(reason) = message {
            self.handle.hang_up(self.connection, reason.as_ref());
            let code = reason.map_or(1005, |reason| reason.code.into());
            return Flow::End(Cause::ClientClosed(code), None);
        }
        match self.handle.take(self.connection, message) {
            Intake::Yes => Flow::Continue,
            Intake::Refused(error) => Flow::BadFrame(error),
            Intake::Exceeded(exceeded) => {
                let cause = Cause::BudgetExceeded;
                Flow::End(cause, self.outbox.errors().frame(cause.name(), &exceeded.to_string(), None))
            }
        }
    }

    /// A pong may acknowledge received frames.
    fn pong(&mut self, payload: &[u8]) -> bool {
        self.handle.acknowledge(self.connection, payload)
    }

    fn reply(&mut self, frame: Frame) -> Flow {
        self.outbox.queue(frame, Policy::Live, Instant::now());
        Flow::Continue
    }

    fn decode_error(&self, error: DecodeError) -> String {
        match error {
            DecodeError::TooBig => {
                format!("a message over max_client_message_bytes, which is {} at this proxy", self.max_message_bytes)
            }
            error => error.to_string(),
        }
    }

    fn closed(self: Box<Self>, cause: Cause) {
        self.handle.leave(self.connection, cause);
    }
}
