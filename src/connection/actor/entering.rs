//! Owns how a `Connection` enters its target, and how it reports that the target refuses.

use std::time::Instant;

use actix::{ActorFutureExt as _, AsyncContext as _, Context, WrapFuture as _};

use super::Connection;
use crate::{
    gate::{RoomLimit, Standing, address::limit_key},
    observe::log::{SecurityFields, security},
    protocol::Cause,
    service::{Entered, Entering, Entry, EntryRefusal},
    ws::Policy,
};

impl Connection {
    pub(super) fn enter(
        &mut self,
        standing: Standing,
        session: Option<String>,
        seen: Option<u64>,
        authenticated: bool,
        context: &mut Context<Self>,
    ) {
        // A connection that is being closed must neither take a seat nor open an upstream.
        if self.outbox.cause().is_some() {
            return;
        }
        let machine = &self.machine;
        let entry = Entry {
            connection: self.number,
            outbox: self.outbox.clone(),
            address: limit_key(*machine.address()),
            standing,
            authenticated,
            session,
            seen,
            must_replace: machine.must_replace(),
            name: machine.name().cloned(),
            wants_names: machine.wants_names(),
        };
        match machine.target().clone().enter(entry) {
            Entering::Done(entered) => self.entered(entered),
            Entering::Waiting(entering) => {
                context.wait(entering.into_actor(self).map(|entered, connection, _| connection.entered(entered)));
            }
        }
    }

    fn entered(&mut self, entered: Result<Entered, EntryRefusal>) {
        match entered {
            Ok(Entered { service, resume }) => {
                self.service = Some(service);
                self.machine.has_replaced();
                if let Some(max) = self.machine.target().max_message_bytes() {
                    self.traffic.max_message_bytes.set(max);
                }
                self.log_entry(resume.map(|verdict| verdict.name()));
                self.object();
            }
            Err(EntryRefusal::Closed { cause, code, message }) => {
                self.outbox.refuse_with(cause, code, &message);
            }
            Err(EntryRefusal::NothingReplaced) => self.end(self.machine.refuse_over_limit()),
            Err(EntryRefusal::Full(limit)) => self.refuse_room(limit),
        }
    }

    fn log_entry(&self, resume: Option<&str>) {
        let standing = self.machine.standing();
        let named = self.log_fields();
        let fields = SecurityFields {
            player: named.player.or(standing.and_then(Standing::name)),
            role: standing.and_then(Standing::role),
            resume,
            ..named
        };
        security(&self.local.logger, "WS_CONNECTION_ESTABLISHED", &fields);
    }

    fn refuse_room(&self, limit: RoomLimit) {
        let message = limit.to_string();
        self.local.metrics.refused(limit.reason());
        let fields = SecurityFields { reason: Some(&message), ..self.log_fields() };
        security(&self.local.logger, "WS_CONNECTION_BLOCKED_ROOM_LIMIT", &fields);
        self.outbox.refuse(Cause::Overloaded, &message);
    }

    /// Reports invalid fields of the query, behind the welcome.
    fn object(&mut self) {
        let now = Instant::now();
        self.machine.objections().for_each(|frame| self.outbox.queue(frame, Policy::Live, now));
    }
}
