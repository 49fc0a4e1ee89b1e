//! Owns the checks of a JWT: signed by an accepted key, current, and issued for this player and
//! this game (A11 to A11e). Tokens are never shown (A12).

mod claims;
mod keys;
mod player;

use std::{collections::HashSet, fmt};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, DecodingKey,
    crypto::rust_crypto,
    decode,
    errors::{Error, ErrorKind},
};
use serde_json::{Map, Number, Value};

use self::claims::{Claims, OneOrMany, Roles, at};
pub(crate) use self::{
    keys::{VerificationKey, VerificationKeys},
    player::player_id,
};
use super::Resource;
use crate::{
    config::TokenConfig,
    protocol::{DisplayName, Role},
};

/// The longest token that is accepted.
pub(crate) const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// The end of the year 9999. Later dates are cut to it, so that milliseconds cannot overflow.
const LATEST_UNIX_SECS: u64 = 253_402_300_799;

/// The keys and settings that tokens are checked against. Has no `Debug`, as it holds the secret.
pub(crate) struct Tokens {
    /// For HS256. An issuer's public key is never used as a secret.
    secret: Option<DecodingKey>,
    keys: VerificationKeys,
    audience: Option<String>,
    issuer: Option<String>,
    leeway_secs: f64,
    roles: Roles,
    player_claim: String,
}

/// When a token expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expiry {
    /// Unix seconds. The token is valid before this instant; at it, the connection closes with 4005
    /// (A13).
    pub at: u64,
    /// `exp` has passed, and only `JWT_LEEWAY` is left (A11b).
    pub is_late: bool,
}

/// What an accepted player's token grants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub role: Role,
    /// The `name` claim (S11); `None` also if it is not a valid name.
    pub name: Option<DisplayName>,
    pub expiry: Expiry,
}

/// What an admin's token grants (A11e).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AdminScope {
    /// The games and the hubs that it grants. `None`: everything.
    only: Option<Box<(Option<OneOrMany>, Option<OneOrMany>)>>,
}

impl AdminScope {
    pub(crate) const EVERYTHING: Self = Self { only: None };

    /// Returns whether it grants everything, including what concerns no single game or hub.
    pub(crate) fn is_everything(&self) -> bool {
        self.only.is_none()
    }

    pub(crate) fn admits_game(&self, game: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.0.as_ref().is_some_and(|games| games.admits(game)))
    }

    pub(crate) fn admits_hub(&self, hub: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.1.as_ref().is_some_and(|hubs| hubs.admits(hub)))
    }
}

/// A client of a hub or a proxy, which accept any `sub`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClientIdentity {
    /// The `sub`; `None` in development mode, or if the token has none.
    pub name: Option<String>,
    /// 1 to 32 bytes of `A-Z a-z 0-9 _ -`.
    pub role: String,
}

/// Why a token is refused: names the rule, never the token's content (A12).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenError {
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
    /// The key that it names may still arrive, so the verdict waits (A11a).
    KeyPending,
}

impl TokenError {
    /// Returns the stable name, for the `error` frame, the log and the metric's label.
    pub(crate) fn code(self) -> &'static str {
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
            Self::KeyPending => "unavailable",
        }
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the token is not a JWT of at most 16 KiB with claims of the right types",
            Self::WrongAlgorithm => "the token's alg is not that of a key: HS256 with JWT_SECRET; RS256, ES256 or EdDSA with an issuer's key",
            Self::BadSignature => "the token is not signed with the server's JWT_SECRET, or with the issuer's key that it names",
            Self::Expired => "the token has expired (exp); get a new one",
            Self::NotYetValid => "the token is not valid yet (nbf, iat); check the clocks",
            Self::NoExpiry => "the token has no exp claim",
            Self::WrongAudience => "the token's aud is not the server's JWT_AUDIENCE",
            Self::WrongIssuer => "the token's iss is not the server's JWT_ISSUER",
            Self::WrongPlayer => "the token's player (sub, or JWT_PLAYER_CLAIM) is not the player in the path",
            Self::WrongGame => "the token's game claim does not admit this game",
            Self::WrongHub => "the token's hub claim does not admit this hub",
            Self::WrongProxy => "the token's proxy claim does not admit this proxy",
            Self::BadRole => "the token's role is none that is let in here: player or spectator",
            Self::KeyPending => "the issuer's keys are not known at the moment; reconnect later",
        })
    }
}

impl std::error::Error for TokenError {}

impl Tokens {
    /// `pems` are the keys of `JWT_PUBLIC_KEY`; `known_roles` are the roles that hubs and proxies
    /// name.
    ///
    /// # Errors
    /// Describes what is wrong with a key.
    pub(crate) fn new(config: &TokenConfig, pems: &[String], known_roles: HashSet<String>) -> Result<Self, String> {
        // Fails if a provider is installed already, which can only be this one: the crate is built
        // with no other.
        let _ = rust_crypto::DEFAULT_PROVIDER.install_default();
        Ok(Self {
            secret: config.secret.as_ref().map(|secret| DecodingKey::from_secret(secret.expose().as_bytes())),
            keys: VerificationKeys::new(pems, config.jwks_urls.len())?,
            audience: config.audience.clone(),
            issuer: config.issuer.clone(),
            leeway_secs: config.leeway.as_secs_f64(),
            roles: Roles::new(&config.role_claim, &config.roles, known_roles),
            player_claim: config.player_claim.clone(),
        })
    }

    pub(crate) fn keys(&self) -> &VerificationKeys {
        &self.keys
    }

    /// Returns whether tokens can be verified: the settings have a key, or every issuer's keys were
    /// fetched.
    pub(crate) fn is_ready(&self) -> bool {
        self.secret.is_some() || self.keys.has_fixed() || self.keys.is_complete()
    }

    /// Checks a token for a player in a game (A11).
    ///
    /// # Errors
    /// The first rule that the token breaks. Rules about claims are checked only after the
    /// signature.
    pub(crate) fn verify(
        &self,
        token: &str,
        game: &str,
        player: &str,
        now_unix_secs: u64,
    ) -> Result<Identity, TokenError> {
        let signed = self.current_claims(token, now_unix_secs)?;
        if self.player(&signed.claims)?.is_none_or(|named| named != player) {
            return Err(TokenError::WrongPlayer);
        }
        if signed.claims.game.as_ref().is_some_and(|games| !games.admits(game)) {
            return Err(TokenError::WrongGame);
        }
        let role = match self.roles.of(&signed.claims, signed.is_own)? {
            "spectator" => Role::Spectator,
            // An operator is not a player: a game should not get a token that grants the operator's
            // rights.
            "admin" => return Err(TokenError::BadRole),
            _ => Role::Player,
        };
        let name = signed.claims.others.get("name").and_then(Value::as_str);
        let name = name.and_then(|name| DisplayName::parse(name).ok());
        Ok(Identity { role, name, expiry: signed.expiry })
    }

    /// Checks a token for a hub or a proxy: any player, any role, and this resource if the token
    /// restricts its resources (A11, X1). Returns the client's identity, and when the token
    /// expires.
    ///
    /// # Errors
    /// As [`Tokens::verify`].
    pub(crate) fn verify_client(
        &self,
        token: &str,
        resource: Resource<'_>,
        now_unix_secs: u64,
    ) -> Result<(ClientIdentity, Expiry), TokenError> {
        let signed = self.current_claims(token, now_unix_secs)?;
        let (admitted, name, wrong) = match resource {
            Resource::Seat { game, .. } => (&signed.claims.game, game, TokenError::WrongGame),
            Resource::Hub(name) | Resource::ServerHub(name) => (&signed.claims.hub, name, TokenError::WrongHub),
            Resource::Proxy(name) => (&signed.claims.proxy, name, TokenError::WrongProxy),
        };
        if admitted.as_ref().is_some_and(|admitted| !admitted.admits(name)) {
            return Err(wrong);
        }
        let role = self.roles.of(&signed.claims, signed.is_own)?.to_owned();
        Ok((ClientIdentity { name: self.player(&signed.claims)?, role }, signed.expiry))
    }

    /// Checks an operator's token (E1): role `admin`, any player. Returns what it grants, and when
    /// it expires.
    ///
    /// # Errors
    /// As [`Tokens::verify`].
    pub(crate) fn verify_admin(&self, token: &str, now_unix_secs: u64) -> Result<(AdminScope, Expiry), TokenError> {
        let signed = self.current_claims(token, now_unix_secs)?;
        if self.roles.of(&signed.claims, signed.is_own)? != "admin" {
            return Err(TokenError::BadRole);
        }
        let Claims { game, hub, proxy, .. } = signed.claims;
        let is_bound = [&game, &hub, &proxy].into_iter().flatten().any(|places| !places.any(|place| place == "*"));
        let only = is_bound.then(|| Box::new((game, hub)));
        Ok((AdminScope { only }, signed.expiry))
    }

    /// Returns the player's id that stands for the claim's value (A11d).
    fn player(&self, claims: &Claims) -> Result<Option<String>, TokenError> {
        match at(&claims.others, &self.player_claim) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(name)) => Ok(Some(player_id(name)).filter(|name| !name.is_empty())),
            // Back ends may number their users. `sub` must be a string (RFC 7519, section 4.1.2).
            Some(Value::Number(number)) if self.player_claim != "sub" && !number.is_f64() => {
                Ok(Some(player_id(&number.to_string())))
            }
            Some(_) => Err(TokenError::Malformed),
        }
    }

    /// Checks what every token must satisfy. Returns its claims and its expiry.
    fn current_claims(&self, token: &str, now_unix_secs: u64) -> Result<Signed, TokenError> {
        let (claims, is_own) = self.signed_claims(token)?;
        let exp = unix_secs(claims.exp.as_ref().ok_or(TokenError::NoExpiry)?, f64::floor);
        let leeway = self.leeway_secs as u64;
        let is_late = exp <= now_unix_secs;
        let at = if is_late { exp.saturating_add(leeway).min(LATEST_UNIX_SECS) } else { exp };
        if at <= now_unix_secs {
            return Err(TokenError::Expired);
        }
        let is_ahead = |date: &Number| unix_secs(date, f64::ceil) > now_unix_secs.saturating_add(leeway);
        if [&claims.nbf, &claims.iat].into_iter().flatten().any(is_ahead) {
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
        Ok(Signed { claims, is_own, expiry: Expiry { at, is_late } })
    }

    /// Returns the claims, and whether the server's own secret signed them.
    fn signed_claims(&self, token: &str) -> Result<(Claims, bool), TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::Malformed);
        }
        // Parsed here first, because the crate reports an unknown algorithm, `none` included, as
        // broken JSON.
        let header = token.split('.').next().unwrap_or_default();
        let header = URL_SAFE_NO_PAD.decode(header).map_err(|_| TokenError::Malformed)?;
        let header: Map<String, Value> = serde_json::from_slice(&header).map_err(|_| TokenError::Malformed)?;
        let algorithm = header.get("alg").and_then(Value::as_str).unwrap_or_default();
        let issuers = keys::algorithm_of(algorithm).filter(|_| self.keys.is_any());
        if issuers.is_none() && (algorithm != "HS256" || self.secret.is_none()) {
            return Err(TokenError::WrongAlgorithm);
        }
        // `crit` names extensions that must be understood (RFC 7515, section 4.1.11). None is
        // supported.
        if header.contains_key("crit") {
            return Err(TokenError::Malformed);
        }
        let kid = match header.get("kid") {
            None | Some(Value::Null) => None,
            Some(Value::String(kid)) => Some(kid.as_str()),
            Some(_) => return Err(TokenError::Malformed),
        };
        if token.split('.').count() != 3 {
            return Err(TokenError::Malformed);
        }
        match (issuers, &self.secret) {
            (Some(algorithm), _) => Ok((self.keys.verify(token, algorithm, kid)?, false)),
            (None, Some(secret)) => {
                let decoded = decode(token, secret, &keys::validation(Algorithm::HS256));
                decoded.map(|data| (data.claims, true)).map_err(|error| refused(&error))
            }
            (None, None) => Err(TokenError::WrongAlgorithm),
        }
    }
}

struct Signed {
    claims: Claims,
    is_own: bool,
    expiry: Expiry,
}

fn refused(error: &Error) -> TokenError {
    match error.kind() {
        ErrorKind::InvalidSignature => TokenError::BadSignature,
        ErrorKind::InvalidAlgorithm => TokenError::WrongAlgorithm,
        _ => TokenError::Malformed,
    }
}

/// Converts a NumericDate (RFC 7519 section 2), which may have a fraction or lie before 1970.
fn unix_secs(date: &Number, round: fn(f64) -> f64) -> u64 {
    // `as` saturates: a negative date becomes 0.
    let secs = date.as_u64().or_else(|| date.as_f64().map(|secs| round(secs) as u64));
    secs.unwrap_or(0).min(LATEST_UNIX_SECS)
}

#[cfg(test)]
mod tests;
