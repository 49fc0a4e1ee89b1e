//! Owns how a `Connection` joins its room, and how it reports a failure to.

use std::time::Instant;

use actix::{ActorFutureExt as _, AsyncContext as _, Context, WrapFuture as _};
use send_wrapper::SendWrapper;

use super::{Connection, Joined, Target};
use crate::{
    gate::address::limit_key,
    observe::log::{SecurityFields, security},
    protocol::{Cause, PlayerId, Role, server::Verdict},
    registry::{NoRoom, Opener},
    room::{
        BANNED, Membership, RoomHandle,
        messages::{Join, JoinError},
    },
};

/// Why a connection cannot join.
enum Denied {
    /// The room refused.
    Refused(Cause),
    NoRoom(NoRoom),
}

impl From<NoRoom> for Denied {
    fn from(none: NoRoom) -> Self {
        Self::NoRoom(none)
    }
}

/// How many rooms in a row may end while a player joins. After that the client has to retry later.
const MAX_JOIN_ATTEMPTS: usize = 3;

impl Connection {
    /// Reads and does nothing else until the room has replied, so that frames keep their order.
    pub(super) fn join(
        &mut self,
        role: Role,
        session: Option<String>,
        seen: Option<u64>,
        authenticated: bool,
        context: &mut Context<Self>,
    ) {
        let Target::Seat { game, player } = self.machine.target().clone() else { return };
        let (local, connection, outbox) = (self.local.clone(), self.number, self.outbox.clone());
        let (address, must_replace) = (limit_key(*self.machine.address()), self.machine.must_replace());
        let (name, wants_names) = (self.machine.name().cloned(), self.machine.wants_names());
        let seated = player.clone();
        let joining = async move {
            for _ in 0..MAX_JOIN_ATTEMPTS {
                // A connection that must replace another one cannot do so in a room that is not
                // open.
                if must_replace && !local.is_listed(&game) {
                    return Err(Denied::Refused(Cause::ConnectionLimit));
                }
                let seat = (role == Role::Player).then_some(&player);
                let room = local.find_room(&game, Opener::Visitor { player: seat, address }).await?;
                let join = Join {
                    connection,
                    player: player.clone(),
                    role,
                    session: session.clone(),
                    seen,
                    authenticated,
                    address,
                    must_replace,
                    name: name.clone(),
                    wants_names,
                    outbox: SendWrapper::new(outbox.clone()),
                };
                match room.join(join).await {
                    Ok(verdict) => return Ok((room, verdict)),
                    Err(JoinError::Refused(cause)) => return Err(Denied::Refused(cause)),
                    Err(JoinError::RoomGone) => {}
                }
            }
            Err(Denied::NoRoom(NoRoom::Busy(Cause::Overloaded)))
        };
        context
            .wait(joining.into_actor(self).map(move |joined, connection, _| connection.joined(role, seated, joined)));
    }

    fn joined(&mut self, role: Role, player: PlayerId, joined: Result<(RoomHandle, Verdict), Denied>) {
        match joined {
            Ok((room, verdict)) => {
                let entry = match role {
                    Role::Player => Membership::Player(player),
                    Role::Spectator => Membership::Spectator,
                };
                self.place = Some(Joined::Room(room, entry));
                self.machine.has_replaced();
                self.established = true;
                let fields =
                    SecurityFields { role: Some(role.name()), resume: Some(verdict.name()), ..self.log_fields() };
                security(&self.local.logger, "WS_CONNECTION_ESTABLISHED", &fields);
                self.object();
            }
            Err(Denied::Refused(Cause::ConnectionLimit)) => self.end(self.machine.refuse_over_limit()),
            Err(Denied::Refused(cause @ Cause::AlreadyConnected)) => {
                let message = "this player is connected; resume with its session, or pick another name";
                self.outbox.refuse(cause, message);
            }
            Err(Denied::Refused(cause @ Cause::Banned)) => {
                self.outbox.refuse(cause, BANNED);
            }
            Err(Denied::Refused(cause)) => {
                self.outbox.refuse(cause, &NoRoom::Busy(cause).to_string());
            }
            Err(Denied::NoRoom(none)) => self.no_room(none),
        }
    }

    fn no_room(&self, none: NoRoom) {
        let message = none.to_string();
        let cause = match none {
            NoRoom::Busy(cause) => cause,
            NoRoom::Full(limit) => {
                self.local.metrics.refused(limit.reason());
                let fields = SecurityFields { reason: Some(&message), ..self.log_fields() };
                security(&self.local.logger, "WS_CONNECTION_BLOCKED_ROOM_LIMIT", &fields);
                Cause::Overloaded
            }
        };
        self.outbox.refuse(cause, &message);
    }

    pub(super) fn object(&mut self) {
        let now = Instant::now();
        self.machine.objections().for_each(|frame| self.outbox.push(frame, now));
    }
}
