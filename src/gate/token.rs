//! Owns what a player's token must be: HS256, current, and about this player and this game (A11). Tokens are never shown (A12).
//! Called for a token that came with the upgrade, in the first frame, or later to replace one (A13).

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, crypto::rust_crypto, decode, errors::ErrorKind};
use serde::Deserialize;
use serde_json::{Number, Value};

use crate::{config::feeds::is_role, protocol::Role};

/// The longest token that is looked at.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// The end of the year 9999, the latest `expires_at`: later ones are cut to it, so that milliseconds cannot overflow.
const LATEST_UNIX_SECS: u64 = 253_402_300_799;

/// What a token is checked against. It holds the secret, so it has no `Debug`.
pub struct Tokens {
    key: DecodingKey,
    validation: Validation,
    audience: Option<String>,
    issuer: Option<String>,
}

/// What an accepted token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    pub role: Role,
    /// Unix seconds; the token is good before this instant, and the connection ends with 4005 at it (A13).
    pub expires_at: u64,
}

/// Who came to a hub or a proxy, which admit any `sub`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guest {
    /// `sub`; `None` in development mode, or when the token names nobody.
    pub name: Option<String>,
    /// A word of `A-Z a-z 0-9 _ -`, 1 to 32 bytes.
    pub role: String,
}

/// Where a guest wants to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place<'a> {
    Hub(&'a str),
    Proxy(&'a str),
}

/// Why a token is refused. Says which rule, never what the token holds (A12).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenError {
    Malformed,
    WrongAlgorithm,
    BadSignature,
    Expired,
    NotYetValid,
    NoExpiry,
    WrongAudience,
    WrongIssuer,
    WrongPlayer,
    WrongGame,
    WrongHub,
    WrongProxy,
    BadRole,
}

impl TokenError {
    /// The stable name, for the `error` frame, the log and the metric's label.
    pub fn code(self) -> &'static str {
        match self {
            Self::Malformed => "token_malformed",
            Self::WrongAlgorithm => "token_wrong_algorithm",
            Self::BadSignature => "token_bad_signature",
            Self::Expired => "token_expired",
            Self::NotYetValid => "token_not_yet_valid",
            Self::NoExpiry => "token_no_expiry",
            Self::WrongAudience => "token_wrong_audience",
            Self::WrongIssuer => "token_wrong_issuer",
            Self::WrongPlayer => "token_wrong_player",
            Self::WrongGame => "token_wrong_game",
            Self::WrongHub => "token_wrong_hub",
            Self::WrongProxy => "token_wrong_proxy",
            Self::BadRole => "token_bad_role",
        }
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the token is not a JWT of at most 8 KiB with claims of the right types",
            Self::WrongAlgorithm => "the token's alg must be HS256",
            Self::BadSignature => "the token is not signed with the server's JWT_SECRET",
            Self::Expired => "the token has expired (exp); get a new one",
            Self::NotYetValid => "the token is not valid yet (nbf); check the clocks",
            Self::NoExpiry => "the token has no exp claim",
            Self::WrongAudience => "the token's aud is not the server's JWT_AUDIENCE",
            Self::WrongIssuer => "the token's iss is not the server's JWT_ISSUER",
            Self::WrongPlayer => "the token's sub is not the player in the path",
            Self::WrongGame => "the token's game claim does not admit this game",
            Self::WrongHub => "the token's hub claim does not admit this hub",
            Self::WrongProxy => "the token's proxy claim does not admit this proxy",
            Self::BadRole => {
                "the token's role is neither player nor spectator, nor, for a hub or proxy, a word of 1 to 32 bytes"
            }
        })
    }
}

impl std::error::Error for TokenError {}

#[derive(Deserialize)]
struct JoseHeader {
    #[serde(default)]
    alg: Value,
    /// Extensions that must be understood (RFC 7515 section 4.1.11); none is.
    crit: Option<Value>,
}

#[derive(Deserialize)]
struct Claims {
    sub: Option<String>,
    exp: Option<Number>,
    nbf: Option<Number>,
    aud: Option<OneOrMany>,
    iss: Option<String>,
    game: Option<OneOrMany>,
    hub: Option<OneOrMany>,
    proxy: Option<OneOrMany>,
    role: Option<Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn any(&self, accepts: impl Fn(&str) -> bool) -> bool {
        match self {
            Self::One(value) => accepts(value),
            Self::Many(values) => values.iter().any(|value| accepts(value)),
        }
    }

    fn admits(&self, name: &str) -> bool {
        self.any(|admitted| admitted == "*" || admitted == name)
    }
}

impl Tokens {
    /// `secret` is `JWT_SECRET`, not empty; `audience` and `issuer` are checked when given.
    pub fn new(secret: &str, audience: Option<&str>, issuer: Option<&str>) -> Self {
        // Fails when a provider is installed already, which is this one: the crate is built with no other.
        let _ = rust_crypto::DEFAULT_PROVIDER.install_default();
        let mut validation = Validation::new(Algorithm::HS256);
        // The crate checks algorithm and signature. Claims are checked below, because it can only use the system's clock.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        Self {
            key: DecodingKey::from_secret(secret.as_bytes()),
            validation,
            audience: audience.map(str::to_owned),
            issuer: issuer.map(str::to_owned),
        }
    }

    /// Checks a token for a player in a game, without leeway (A11).
    ///
    /// # Errors
    /// The first rule it breaks; rules about claims are only reached by a token that the secret signed.
    pub fn verify(&self, token: &str, game: &str, player: &str, now_unix_secs: u64) -> Result<Identity, TokenError> {
        let (claims, expires_at) = self.current_claims(token, now_unix_secs)?;
        if claims.sub.as_deref() != Some(player) {
            return Err(TokenError::WrongPlayer);
        }
        if claims.game.is_some_and(|games| !games.admits(game)) {
            return Err(TokenError::WrongGame);
        }
        let role = match claims.role.as_ref().map(Value::as_str) {
            None | Some(Some("player")) => Role::Player,
            Some(Some("spectator")) => Role::Spectator,
            Some(_) => return Err(TokenError::BadRole),
        };
        Ok(Identity { role, expires_at })
    }

    /// Checks a token for a hub or a proxy: any `sub`, any role, and admitted there if the token says where it is good (A11, X1).
    /// Returns who it is, and when it expires, in unix seconds.
    ///
    /// # Errors
    /// As [`Tokens::verify`].
    pub fn verify_guest(&self, token: &str, place: Place<'_>, now_unix_secs: u64) -> Result<(Guest, u64), TokenError> {
        let (claims, expires_at) = self.current_claims(token, now_unix_secs)?;
        let (admitted, name, wrong) = match place {
            Place::Hub(name) => (claims.hub, name, TokenError::WrongHub),
            Place::Proxy(name) => (claims.proxy, name, TokenError::WrongProxy),
        };
        if admitted.is_some_and(|admitted| !admitted.admits(name)) {
            return Err(wrong);
        }
        let role = match claims.role {
            None => "player".to_owned(),
            Some(Value::String(role)) if is_role(&role) => role,
            Some(_) => return Err(TokenError::BadRole),
        };
        Ok((Guest { name: claims.sub.filter(|name| !name.is_empty()), role }, expires_at))
    }

    /// Checks an operator's token (E1): role `admin`, whoever `sub` is. One that is limited to a game is none. Returns when it
    /// expires, in unix seconds.
    ///
    /// # Errors
    /// As [`Tokens::verify`].
    pub fn verify_admin(&self, token: &str, now_unix_secs: u64) -> Result<u64, TokenError> {
        let (claims, expires_at) = self.current_claims(token, now_unix_secs)?;
        if claims.game.is_some_and(|games| !games.any(|admitted| admitted == "*")) {
            return Err(TokenError::WrongGame);
        }
        if claims.role.as_ref().and_then(Value::as_str) == Some("admin") {
            Ok(expires_at)
        } else {
            Err(TokenError::BadRole)
        }
    }

    /// What is checked of every token, and when it expires.
    fn current_claims(&self, token: &str, now_unix_secs: u64) -> Result<(Claims, u64), TokenError> {
        let claims = self.signed_claims(token)?;
        let expires_at = unix_secs(claims.exp.as_ref().ok_or(TokenError::NoExpiry)?, f64::floor);
        if expires_at <= now_unix_secs {
            return Err(TokenError::Expired);
        }
        if claims.nbf.as_ref().is_some_and(|nbf| unix_secs(nbf, f64::ceil) > now_unix_secs) {
            return Err(TokenError::NotYetValid);
        }
        if let Some(audience) = &self.audience
            && !claims.aud.as_ref().is_some_and(|aud| aud.any(|aud| aud == audience))
        {
            return Err(TokenError::WrongAudience);
        }
        if self.issuer.is_some() && self.issuer != claims.iss {
            return Err(TokenError::WrongIssuer);
        }
        Ok((claims, expires_at))
    }

    fn signed_claims(&self, token: &str) -> Result<Claims, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::Malformed);
        }
        // Read here first because the crate reports an algorithm that it does not know, `none` included, as broken JSON.
        let header = token.split('.').next().unwrap_or_default();
        let header = URL_SAFE_NO_PAD.decode(header).map_err(|_| TokenError::Malformed)?;
        let header: JoseHeader = serde_json::from_slice(&header).map_err(|_| TokenError::Malformed)?;
        if header.alg != "HS256" {
            return Err(TokenError::WrongAlgorithm);
        }
        if header.crit.is_some() {
            return Err(TokenError::Malformed);
        }
        decode(token, &self.key, &self.validation).map(|data| data.claims).map_err(|error| match error.kind() {
            ErrorKind::InvalidSignature => TokenError::BadSignature,
            ErrorKind::InvalidAlgorithm => TokenError::WrongAlgorithm,
            _ => TokenError::Malformed,
        })
    }
}

/// A NumericDate (RFC 7519 section 2), which may have a fraction or lie before 1970.
fn unix_secs(date: &Number, round: fn(f64) -> f64) -> u64 {
    // `as` saturates: a negative date is 0.
    let secs = date.as_u64().or_else(|| date.as_f64().map(|secs| round(secs) as u64));
    secs.unwrap_or(0).min(LATEST_UNIX_SECS)
}

#[cfg(test)]
mod tests;
