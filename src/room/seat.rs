//! Owns a connection's seat in a room: how a client joins (3.2), and what its frames do there.

use std::{rc::Rc, time::Instant};

use actix::{Handler, Message};
use send_wrapper::SendWrapper;

use super::{
    BANNED, Room, Rooms,
    handle::{Busy, RoomHandle},
    messages::{Act, Answer, Join, JoinError, JoinRequest, Membership, Rename},
    opening::{NoRoom, Opener},
};
use crate::{
    gate::{Resource, Standing},
    observe::log::SecurityFields,
    protocol::{Cause, Dialect, DisplayName, GameId, PlayerId, Role, RoomRequest, error_code},
    service::{Entered, Entering, Entry, EntryRefusal, Flow, Service, Target},
    ws::{Frame, Outbox, Policy, error_frame},
};

/// How many rooms in a row may end while a player joins. After that the client has to retry later.
const MAX_JOIN_ATTEMPTS: usize = 3;

/// A seat, or a spectator's view, that a socket asks for.
pub(crate) struct SeatTarget {
    pub game: GameId,
    pub player: PlayerId,
    pub rooms: Rc<Rooms>,
}

/// What a connection holds of its room.
struct SeatHolder {
    connection: u64,
    room: RoomHandle,
    target: Rc<SeatTarget>,
    role: Role,
    /// Unset when the client leaves.
    is_member: bool,
    outbox: Rc<Outbox>,
}

impl Target for SeatTarget {
    fn resource(&self) -> Resource<'_> {
        Resource::Seat { game: self.game.as_str(), player: self.player.as_str() }
    }

    fn dialect(&self) -> Dialect {
        Dialect::Game
    }

    fn log_fields(&self) -> SecurityFields<'_> {
        SecurityFields { game: Some(self.game.as_str()), player: Some(self.player.as_str()), ..Default::default() }
    }

    fn enter(self: Rc<Self>, entry: Entry) -> Entering {
        Entering::Waiting(Box::pin(self.join(entry)))
    }
}

impl SeatTarget {
    async fn join(self: Rc<Self>, entry: Entry) -> Result<Entered, EntryRefusal> {
        let Standing::Seated(role) = entry.standing else {
            // No token gives a guest's standing for a seat.
            return Err(EntryRefusal::because(Cause::AuthFailed, "this token is for no seat"));
        };
        let seated = (role == Role::Player).then_some(&self.player);
        for _ in 0..MAX_JOIN_ATTEMPTS {
            // A connection that must replace another one cannot do so in a room that is not open.
            if entry.must_replace && !self.rooms.is_listed(&self.game) {
                return Err(EntryRefusal::NothingReplaced);
            }
            let room = self.rooms.find(&self.game, Opener::Visitor { player: seated, address: entry.address }).await?;
            let request = JoinRequest {
                connection: entry.connection,
                player: self.player.clone(),
                role,
                session: entry.session.clone(),
                seen: entry.seen,
                authenticated: entry.authenticated,
                address: entry.address,
                must_replace: entry.must_replace,
                name: entry.name.clone(),
                wants_names: entry.wants_names,
            };
            let join = Join { request, outbox: SendWrapper::new(entry.outbox.clone()) };
            match room.join(join).await {
                Ok(verdict) => {
                    let seat = SeatHolder {
                        connection: entry.connection,
                        room,
                        target: self,
                        role,
                        is_member: true,
                        outbox: entry.outbox,
                    };
                    return Ok(Entered { service: Box::new(seat), resume: Some(verdict) });
                }
                Err(JoinError::Refused(cause)) => return Err(refusal(cause)),
                Err(JoinError::RoomGone) => {}
            }
        }
        Err(NoRoom::Busy(Cause::Overloaded).into())
    }
}

fn refusal(cause: Cause) -> EntryRefusal {
    match cause {
        Cause::ConnectionLimit => EntryRefusal::NothingReplaced,
        Cause::AlreadyConnected => {
            EntryRefusal::because(cause, "this player is connected; resume with its session, or pick another name")
        }
        Cause::Banned => EntryRefusal::because(cause, BANNED),
        cause => NoRoom::Busy(cause).into(),
    }
}

impl From<NoRoom> for EntryRefusal {
    fn from(none: NoRoom) -> Self {
        match none {
            NoRoom::Busy(cause) => Self::because(cause, none.to_string()),
            NoRoom::Full(limit) => Self::Full(limit),
        }
    }
}

impl SeatHolder {
    /// Passes a command to the room. While the room's mailbox is full, the client is not read, so
    /// the back-pressure reaches it.
    fn pass<M: Message<Result = ()> + Send + 'static>(&self, command: M) -> Flow
    where
        Room: Handler<M>,
    {
        match self.room.pass(command) {
            Ok(()) => Flow::Continue,
            Err(Busy::Full(command)) => {
                let room = self.room.clone();
                Flow::Wait(Box::pin(async move { room.pass_when_free(command).await }))
            }
            // The room closes its members itself, so only a command to a room that has already
            // ended gets here.
            Err(Busy::Closed) => Flow::End(Cause::RoomFailed, None),
        }
    }

    /// Returns the membership, once: afterwards the client has left.
    fn take_membership(&mut self) -> Option<Membership> {
        std::mem::take(&mut self.is_member).then(|| match self.role {
            Role::Player => Membership::Player(self.target.player.clone()),
            Role::Spectator => Membership::Spectator,
        })
    }
}

impl Service for SeatHolder {
    fn room_request(&mut self, request: RoomRequest) -> Flow {
        let is_leaving = matches!(request, RoomRequest::Leave);
        if self.role == Role::Spectator && !is_leaving {
            return self.reply(error_frame(
                error_code::FORBIDDEN,
                "a spectator may send ping, pong, auth and leave",
                request.id(),
            ));
        }
        if is_leaving {
            if let Some(membership) = self.take_membership() {
                self.room.leave(self.connection, membership);
            }
            return Flow::Continue;
        }
        if !self.is_member {
            return Flow::Continue;
        }
        self.target.rooms.count_action();
        self.pass(Act { connection: self.connection, player: self.target.player.clone(), request })
    }

    fn reply(&mut self, frame: Frame) -> Flow {
        if !self.is_member {
            self.outbox.queue(frame, Policy::Live, Instant::now());
            return Flow::Continue;
        }
        self.pass(Answer { connection: self.connection, frame: SendWrapper::new(frame) })
    }

    fn rename(&mut self, name: DisplayName) -> Flow {
        if !self.is_member {
            return Flow::Continue;
        }
        self.target.rooms.count_action();
        self.pass(Rename { connection: self.connection, player: self.target.player.clone(), name })
    }

    fn closed(mut self: Box<Self>, _: Cause) {
        if let Some(membership) = self.take_membership() {
            self.room.detach(self.connection, membership);
        }
    }
}
