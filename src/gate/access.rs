//! Owns what a socket's token must be good for, and what the token makes its client there. Pure.

use std::{rc::Rc, sync::Arc};

use super::{Asking, ClientIdentity, Expiry, OperatorError, Operators, TokenError, Tokens};
use crate::protocol::{Cause, DisplayName, Role};

/// What a socket asks for, as far as tokens may restrict it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resource<'a> {
    Seat {
        game: &'a str,
        player: &'a str,
    },
    /// The server's own hub, for operators.
    ServerHub(&'a str),
    Hub(&'a str),
    Proxy(&'a str),
}

/// What a client is admitted as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    Seated(Role),
    Operator,
    Client(Rc<ClientIdentity>),
}

impl Standing {
    /// Returns the `sub` of the token of a client without a seat.
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Self::Client(client) => client.name.as_deref(),
            Self::Seated(_) | Self::Operator => None,
        }
    }

    /// Returns the role; `None` for an operator.
    pub(crate) fn role(&self) -> Option<&str> {
        match self {
            Self::Seated(role) => Some(role.name()),
            Self::Client(client) => Some(&client.role),
            Self::Operator => None,
        }
    }
}

/// What a valid token grants.
pub(crate) struct Pass {
    pub standing: Standing,
    /// The display name in a player's token, if it has one (S11).
    pub name: Option<DisplayName>,
    /// `None`: the token does not expire.
    pub expiry: Option<Expiry>,
}

/// A token that is refused: the cause of the close, and the `error` frame's code and message.
pub(crate) struct BadToken {
    pub cause: Cause,
    pub code: &'static str,
    pub message: String,
}

/// Why a token gives no pass.
pub(crate) enum Unverified {
    Bad(BadToken),
    /// Its key may arrive in a round of fetches after this one.
    Pending {
        round: u64,
    },
}

/// Everything that tokens of sockets are checked against.
#[derive(Clone)]
pub(crate) struct Guards {
    /// `None` in development mode (A10).
    pub tokens: Option<Arc<Tokens>>,
    pub operators: Arc<Operators>,
}

impl Guards {
    /// Returns the standing without a token, if none is needed: an open room, hub or proxy ignores
    /// tokens, the operators' hub always needs one (A10a).
    pub(crate) fn open_standing(&self, resource: Resource<'_>, spectates: bool) -> Option<Standing> {
        if self.uses_tokens(resource) {
            return None;
        }
        let role = if spectates { Role::Spectator } else { Role::Player };
        Some(match resource {
            Resource::Seat { .. } => Standing::Seated(role),
            _ => client(role),
        })
    }

    /// Returns whether this resource needs a token.
    pub(crate) fn uses_tokens(&self, resource: Resource<'_>) -> bool {
        match resource {
            Resource::ServerHub(_) => true,
            Resource::Hub(_) if self.operators.has_hub_token() => true,
            _ => self.tokens.is_some(),
        }
    }

    /// # Errors
    /// [`Unverified`]
    pub(crate) fn verify(&self, resource: Resource<'_>, token: &str, asking: Asking) -> Result<Pass, Unverified> {
        // Read before the verification, so that a later round is not missed.
        let round = self.tokens.as_ref().map_or(0, |tokens| tokens.keys().round());
        let verified = match resource {
            Resource::ServerHub(hub) => return self.verify_operator(hub, token, asking, round),
            Resource::Hub(_) if self.operators.has_hub_token() => {
                return self.verify_hub_token(resource, token, asking, round);
            }
            Resource::Seat { game, player } => self.verify_seat(token, game, player, asking.unix_secs),
            Resource::Hub(_) | Resource::Proxy(_) => self.verify_client(resource, token, asking.unix_secs),
        };
        verified.map_err(|error| token_error(error, round))
    }

    fn verify_operator(&self, hub: &str, token: &str, asking: Asking, round: u64) -> Result<Pass, Unverified> {
        match self.operators.check(Some(token), asking) {
            Ok((scope, expiry)) if scope.admits_hub(hub) => {
                Ok(Pass { standing: Standing::Operator, name: None, expiry })
            }
            Ok(_) => Err(operator_error(OperatorError::Wrong, round)),
            Err(error) => Err(operator_error(error, round)),
        }
    }

    /// The shared token of hubs (A16), or a token of an issuer.
    fn verify_hub_token(
        &self,
        resource: Resource<'_>,
        token: &str,
        asking: Asking,
        round: u64,
    ) -> Result<Pass, Unverified> {
        self.operators.limit(asking).map_err(|error| operator_error(error, round))?;
        if self.operators.is_hub_token(token) {
            return Ok(Pass { standing: client(Role::Player), name: None, expiry: None });
        }
        let verified = self.verify_client(resource, token, asking.unix_secs);
        if verified.as_ref().is_err_and(|error| *error != TokenError::KeyPending) {
            self.operators.count_wrong(asking);
        }
        verified.map_err(|error| match error {
            // A token that is not a JWT can only be a wrong HUB_TOKEN.
            TokenError::Malformed => bad(Cause::AuthFailed, error.code(), "the token is not the server's HUB_TOKEN"),
            error => token_error(error, round),
        })
    }

    fn verify_seat(&self, token: &str, game: &str, player: &str, now_secs: u64) -> Result<Pass, TokenError> {
        let tokens = self.tokens.as_ref().ok_or(TokenError::Malformed)?;
        let identity = tokens.verify(token, game, player, now_secs)?;
        Ok(Pass { standing: Standing::Seated(identity.role), name: identity.name, expiry: Some(identity.expiry) })
    }

    fn verify_client(&self, resource: Resource<'_>, token: &str, now_secs: u64) -> Result<Pass, TokenError> {
        let tokens = self.tokens.as_ref().ok_or(TokenError::Malformed)?;
        let (client, expiry) = tokens.verify_client(token, resource, now_secs)?;
        Ok(Pass { standing: Standing::Client(Rc::new(client)), name: None, expiry: Some(expiry) })
    }
}

fn client(role: Role) -> Standing {
    Standing::Client(Rc::new(ClientIdentity { name: None, role: role.name().to_owned() }))
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
