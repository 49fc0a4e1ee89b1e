//! Owns which service a connection talks to, which token that needs, and which standing the token
//! gives. Pure.

use std::{rc::Rc, sync::Arc, time::Duration};

use crate::{
    config::ConnectionConfig,
    gate::{Asking, Expiry, Guest, OperatorError, Operators, Resource, TokenError, Tokens},
    protocol::{Cause, Dialect, DisplayName, GameId, HubId, PlayerId, ProxyId, Role},
};

/// The service that a connection talks to. It determines which token is needed and which frames are
/// valid.
#[derive(Debug, Clone)]
pub enum Target {
    Seat {
        game: GameId,
        player: PlayerId,
    },
    /// The server's own hub, for operators.
    Desk(HubId),
    Hub(HubId),
    Proxy {
        proxy: ProxyId,
        /// The raw query. The proxy's configuration selects what of it is passed to the upstream.
        query: Option<String>,
    },
}

/// The settings that all connections of the server share.
pub struct Terms {
    pub connection: ConnectionConfig,
    /// How long a client may take to authenticate (A7).
    pub auth_timeout: Duration,
    /// `None` in development mode (A10).
    pub tokens: Option<Arc<Tokens>>,
    pub operators: Arc<Operators>,
}

/// What a connection is admitted as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    Seated(Role),
    Operator,
    Guest(Rc<Guest>),
}

/// What a valid token grants.
pub(super) struct Pass {
    pub standing: Standing,
    /// The display name in a player's token, if it has one (S11).
    pub name: Option<DisplayName>,
    /// `None`: the token does not expire.
    pub expiry: Option<Expiry>,
}

/// A token that is refused: the cause of the close, and the `error` frame's code and message.
pub(super) struct BadToken {
    pub cause: Cause,
    pub code: &'static str,
    pub message: String,
}

/// Why a token gives no pass.
pub(super) enum Unverified {
    Bad(BadToken),
    /// Its key may arrive in a round of fetches after this one.
    Pending {
        round: u64,
    },
}

impl Target {
    pub(super) fn dialect(&self) -> Dialect {
        match self {
            Self::Seat { .. } => Dialect::Game,
            Self::Desk(_) | Self::Hub(_) => Dialect::Hub,
            Self::Proxy { .. } => Dialect::Proxy,
        }
    }

    /// Returns whether messages pass through to an upstream. To its client the server then adds no
    /// frame of its own except an `error` before the close.
    pub(super) fn is_raw(&self) -> bool {
        matches!(self, Self::Proxy { .. })
    }

    /// Returns the standing without a token, if none is needed: an open room, hub or proxy ignores
    /// tokens, the operators' hub always needs one (A10a).
    pub(super) fn open_standing(&self, terms: &Terms, spectates: bool) -> Option<Standing> {
        let role = if spectates { Role::Spectator } else { Role::Player };
        match self {
            Self::Desk(_) => None,
            Self::Hub(_) if terms.operators.has_hub_token() => None,
            _ if terms.tokens.is_some() => None,
            Self::Seat { .. } => Some(Standing::Seated(role)),
            Self::Hub(_) | Self::Proxy { .. } => {
                Some(Standing::Guest(Rc::new(Guest { name: None, role: role.name().to_owned() })))
            }
        }
    }

    pub(super) fn looks_at_tokens(&self, terms: &Terms) -> bool {
        match self {
            Self::Desk(_) => true,
            Self::Hub(_) => terms.tokens.is_some() || terms.operators.has_hub_token(),
            Self::Seat { .. } | Self::Proxy { .. } => terms.tokens.is_some(),
        }
    }

    pub(super) fn verify(&self, terms: &Terms, token: &str, asking: Asking) -> Result<Pass, Unverified> {
        // Read before the verification, so that a later round is not missed.
        let round = terms.tokens.as_ref().map_or(0, |tokens| tokens.keys().round());
        match self {
            Self::Desk(hub) => match terms.operators.check(Some(token), asking) {
                Ok((scope, expiry)) if scope.admits_hub(hub.as_str()) => {
                    Ok(Pass { standing: Standing::Operator, name: None, expiry })
                }
                Ok(_) => Err(operator_error(OperatorError::Wrong, round)),
                Err(error) => Err(operator_error(error, round)),
            },
            Self::Hub(_) if terms.operators.has_hub_token() => {
                terms.operators.limit(asking).map_err(|error| operator_error(error, round))?;
                if terms.operators.is_hub_token(token) {
                    let guest = Guest { name: None, role: Role::Player.name().to_owned() };
                    return Ok(Pass { standing: Standing::Guest(Rc::new(guest)), name: None, expiry: None });
                }
                let verified = self.verify_claims(terms, token, asking.unix_secs);
                if verified.as_ref().is_err_and(|error| *error != TokenError::KeyPending) {
                    terms.operators.count_wrong(asking);
                }
                verified.map_err(|error| match error {
                    // A token that is not a JWT can only be a wrong HUB_TOKEN.
                    TokenError::Malformed => {
                        bad(Cause::AuthFailed, error.code(), "the token is not the server's HUB_TOKEN")
                    }
                    error => token_error(error, round),
                })
            }
            Self::Seat { .. } | Self::Hub(_) | Self::Proxy { .. } => {
                self.verify_claims(terms, token, asking.unix_secs).map_err(|error| token_error(error, round))
            }
        }
    }

    fn verify_claims(&self, terms: &Terms, token: &str, now_secs: u64) -> Result<Pass, TokenError> {
        let tokens = terms.tokens.as_ref().ok_or(TokenError::Malformed)?;
        let place = match self {
            Self::Seat { game, player } => {
                let identity = tokens.verify(token, game.as_str(), player.as_str(), now_secs)?;
                let standing = Standing::Seated(identity.role);
                return Ok(Pass { standing, name: identity.name, expiry: Some(identity.expiry) });
            }
            Self::Hub(hub) | Self::Desk(hub) => Resource::Hub(hub.as_str()),
            Self::Proxy { proxy, .. } => Resource::Proxy(proxy.as_str()),
        };
        let (guest, expiry) = tokens.verify_guest(token, place, now_secs)?;
        Ok(Pass { standing: Standing::Guest(Rc::new(guest)), name: None, expiry: Some(expiry) })
    }
}

fn bad(cause: Cause, code: &'static str, message: &str) -> Unverified {
    Unverified::Bad(BadToken { cause, code, message: message.to_owned() })
}

fn token_error(error: TokenError, round: u64) -> Unverified {
    match error {
        TokenError::KeyPending => Unverified::Pending { round },
        error => bad(Cause::AuthFailed, error.code(), &error.to_string()),
    }
}

fn operator_error(error: OperatorError, round: u64) -> Unverified {
    match error {
        OperatorError::Pending => Unverified::Pending { round },
        OperatorError::Limited(_) => bad(Cause::ConnectionLimit, error.code(), &error.to_string()),
        OperatorError::Missing | OperatorError::Wrong => bad(Cause::AuthFailed, error.code(), &error.to_string()),
    }
}
