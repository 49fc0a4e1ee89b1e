//! Owns what the path of a handshake asks for, and its target on the shard.

use std::rc::Rc;

use super::Local;
use crate::{
    hub::HubTarget,
    protocol::{GameId, HubId, PlayerId, ProxyId},
    proxy::ProxyTarget,
    room::SeatTarget,
    service::Target,
};

/// What a handshake asks for, before it is on its shard.
#[derive(Debug, Clone)]
pub(crate) enum Destination {
    Seat {
        game: GameId,
        player: PlayerId,
    },
    /// The server's own hub, for operators.
    ServerHub(HubId),
    Hub(HubId),
    Proxy {
        proxy: ProxyId,
        /// The raw query. The proxy's configuration selects what of it is passed to the upstream.
        query: Option<String>,
    },
}

impl Destination {
    /// Returns the target on this shard. If there is no such hub or proxy, the target refuses the
    /// client when it enters, after its token was checked.
    pub(crate) fn on(self, local: &Local) -> Rc<dyn Target> {
        match self {
            Self::Seat { game, player } => Rc::new(SeatTarget { game, player, rooms: local.rooms.clone() }),
            Self::ServerHub(id) => Rc::new(HubTarget { hub: local.hub(&id), id, is_for_operators: true }),
            Self::Hub(id) => Rc::new(HubTarget { hub: local.hub(&id), id, is_for_operators: false }),
            Self::Proxy { proxy, query } => Rc::new(ProxyTarget { proxy: local.proxy(&proxy), id: proxy, query }),
        }
    }
}
