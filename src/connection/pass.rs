//! Owns whom a connection talks to, what its token must say for that, and what it is there; pure.
//! Called by `machine` with tokens, by `http::upgrade` with targets, and by the `Connection` actor.

use std::{rc::Rc, sync::Arc, time::Duration};

use crate::{
    clock::Now,
    config::ConnectionConfig,
    gate::{Guest, Operators, Place, TokenError, Tokens},
    protocol::{Dialect, GameId, HubId, PlayerId, ProxyId, Role},
};

/// Whom a connection talks to; it decides what a token must say and which frames are understood.
#[derive(Debug, Clone)]
pub enum Target {
    Seat {
        game: GameId,
        player: PlayerId,
    },
    /// The server's own hub: for operators.
    Desk(HubId),
    Hub(HubId),
    Proxy {
        proxy: ProxyId,
        /// The query as it came: what of it may pass, the proxy's configuration says.
        query: Option<String>,
    },
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

/// What a connection is where it got in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    Seated(Role),
    Operator,
    Guest(Rc<Guest>),
}

/// What a token entitles to.
pub(super) struct Pass {
    pub standing: Standing,
    /// In unix ms; `None`: never.
    pub expiry: Option<u64>,
}

/// A token that is not accepted: the `error` frame's code and message.
pub(super) type BadToken = (&'static str, String);

impl Target {
    pub(super) fn dialect(&self) -> Dialect {
        match self {
            Self::Seat { .. } => Dialect::Game,
            Self::Desk(_) | Self::Hub(_) => Dialect::Hub,
            Self::Proxy { .. } => Dialect::Proxy,
        }
    }

    /// Once in, the messages are the upstream's, and no frame of ours mixes with them but an `error` before the end.
    pub(super) fn is_raw(&self) -> bool {
        matches!(self, Self::Proxy { .. })
    }

    /// What one is here without a token, where none is needed: an open room, hub or proxy does not look at tokens, the
    /// operators' hub always does (A10a).
    pub(super) fn open_standing(&self, terms: &Terms, spectates: bool) -> Option<Standing> {
        let role = if spectates { Role::Spectator } else { Role::Player };
        match self {
            Self::Desk(_) => None,
            _ if terms.tokens.is_some() => None,
            Self::Seat { .. } => Some(Standing::Seated(role)),
            Self::Hub(_) | Self::Proxy { .. } => {
                Some(Standing::Guest(Rc::new(Guest { name: None, role: role.name().to_owned() })))
            }
        }
    }

    pub(super) fn looks_at_tokens(&self, terms: &Terms) -> bool {
        matches!(self, Self::Desk(_)) || terms.tokens.is_some()
    }

    pub(super) fn verify(&self, terms: &Terms, token: &str, now: Now) -> Result<Pass, BadToken> {
        let now_secs = now.unix_ms / 1000;
        let verified = match (self, &terms.tokens) {
            (Self::Desk(_), _) => {
                let checked = terms.operators.check(Some(token), now_secs);
                let expires_at = checked.map_err(|error| (error.code(), error.to_string()))?;
                Ok((Standing::Operator, expires_at))
            }
            (_, None) => Err(TokenError::Malformed),
            (Self::Seat { game, player }, Some(tokens)) => tokens
                .verify(token, game.as_str(), player.as_str(), now_secs)
                .map(|identity| (Standing::Seated(identity.role), Some(identity.expires_at))),
            (Self::Hub(hub), Some(tokens)) => guest(tokens, token, Place::Hub(hub.as_str()), now_secs),
            (Self::Proxy { proxy, .. }, Some(tokens)) => guest(tokens, token, Place::Proxy(proxy.as_str()), now_secs),
        };
        let (standing, expires_at) = verified.map_err(|error| (error.code(), error.to_string()))?;
        Ok(Pass { standing, expiry: expires_at.map(|secs| secs.saturating_mul(1000)) })
    }
}

fn guest(tokens: &Tokens, token: &str, place: Place<'_>, now_secs: u64) -> Result<(Standing, Option<u64>), TokenError> {
    let (guest, expires_at) = tokens.verify_guest(token, place, now_secs)?;
    Ok((Standing::Guest(Rc::new(guest)), Some(expires_at)))
}
