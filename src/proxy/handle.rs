//! Owns `ProxyHandle`: a session as connections and the local proxy hold it.

use std::rc::Rc;

use actix::Addr;
use actix_web_actors::ws::{CloseReason, Message};

use super::{
    codes,
    messages::{ClientLeft, HangUp},
    places::SessionPermit,
    session::{Intake, ProxySession},
    session_actor::SessionActor,
};
use crate::protocol::Cause;

#[derive(Clone)]
pub(crate) struct ProxyHandle {
    pub(super) session: Rc<ProxySession>,
    pub(super) permit: Rc<SessionPermit>,
    pub(super) actor: Addr<SessionActor>,
}

impl ProxyHandle {
    /// Takes a text or binary message of the client.
    pub(crate) fn take(&self, connection: u64, message: Message) -> Intake {
        self.session.take(connection, message)
    }

    /// Takes a pong of the client. Returns true if it answers a ping of the session.
    pub(crate) fn acknowledge(&self, connection: u64, payload: &[u8]) -> bool {
        self.session.acknowledge(connection, payload)
    }

    /// The client closes: the upstream gets the code and reason behind everything that was sent
    /// before. Call `leave` next.
    pub(crate) fn hang_up(&self, connection: u64, close: Option<&CloseReason>) {
        if self.session.is_client(connection) {
            let code = codes::to_upstream(close.map(|close| close.code.into()));
            let reason = close.and_then(|close| close.description.as_deref()).unwrap_or_default();
            self.session.close_upstream(code, reason);
        }
    }

    /// A connection that entered is over, for this cause. The client may come back if it did not
    /// mean to leave.
    pub(crate) fn leave(&self, connection: u64, cause: Cause) {
        if self.session.is_client(connection) {
            self.session.detach(connection);
            let may_come_back = self.session.is_resumable() && codes::was_an_accident(cause);
            if may_come_back {
                let actor = self.actor.clone();
                self.permit.away(Box::new(move || actor.do_send(HangUp(cause))));
            }
            self.actor.do_send(ClientLeft { cause, may_come_back });
        }
    }

    /// The server stops: ends the session, whether its client is connected or not.
    pub(super) fn end(&self) {
        self.actor.do_send(HangUp(Cause::Draining));
    }
}
