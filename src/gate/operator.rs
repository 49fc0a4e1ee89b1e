//! Owns who may operate the server: whoever has `HTTP_API_SECRET`, the operator key of development mode (A10a), or a token
//! with the role `admin` (E1). Nobody is an operator because of an address.
//! Called by `http` for the operators' API, and for subscribers of the server's own hub.

use std::fmt;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::token::Tokens;
use crate::config::{AuthConfig, AuthMode, Secret};

/// What an operator's token is checked against. It holds secrets, so it has no `Debug`.
pub struct Operators {
    /// Hashed, so that comparing tells nothing of its length either.
    secret: Option<[u8; 32]>,
    tokens: Option<Tokens>,
}

/// Why somebody is no operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperatorError {
    /// No token: 401.
    Missing,
    /// Another token: 403.
    Wrong,
}

impl OperatorError {
    /// The stable `error.code`.
    pub fn code(self) -> &'static str {
        match self {
            Self::Missing => "unauthorized",
            Self::Wrong => "forbidden",
        }
    }
}

impl fmt::Display for OperatorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => {
                "this is for operators: send `Authorization: Bearer` with HTTP_API_SECRET, with the key in \
                 DATA_DIR/operator.key when no secret is set, or with a JWT of role admin"
            }
            Self::Wrong => "the token is neither HTTP_API_SECRET, nor the operator key, nor a JWT of role admin",
        })
    }
}

impl std::error::Error for OperatorError {}

impl Operators {
    /// `key` is the operator key, where the server has made one; it is as good as the secret (A10a).
    pub fn new(auth: &AuthConfig, key: Option<&Secret>) -> Self {
        let tokens = match &auth.mode {
            AuthMode::Open => None,
            AuthMode::Jwt { secret, audience, issuer } => {
                Some(Tokens::new(secret.expose(), audience.as_deref(), issuer.as_deref()))
            }
        };
        Self { secret: auth.api_secret.as_ref().or(key).map(|secret| hash(secret.expose())), tokens }
    }

    /// E1. Returns until when a connection may stay, in unix seconds; `None`: as long as it likes.
    ///
    /// # Errors
    /// [`OperatorError`].
    pub fn check(&self, token: Option<&str>, now_unix_secs: u64) -> Result<Option<u64>, OperatorError> {
        let token = token.ok_or(OperatorError::Missing)?;
        if self.secret.is_some_and(|secret| bool::from(secret.ct_eq(&hash(token)))) {
            return Ok(None);
        }
        let expires_at = self.tokens.as_ref().map(|tokens| tokens.verify_admin(token, now_unix_secs));
        expires_at.and_then(Result::ok).map(Some).ok_or(OperatorError::Wrong)
    }
}

fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
    use serde_json::json;

    use super::*;
    use crate::config::Secret;

    const NOW: u64 = 1_800_000_000;
    const KEY: &str = "the key of the tests, long enough";

    fn operators(api_secret: Option<&str>, jwt_secret: Option<&str>, key: Option<&str>) -> Operators {
        let mode = match jwt_secret {
            Some(secret) => AuthMode::Jwt { secret: Secret::new(secret), audience: None, issuer: None },
            None => AuthMode::Open,
        };
        let auth = AuthConfig { mode, timeout: Duration::from_secs(1), api_secret: api_secret.map(Secret::new) };
        Operators::new(&auth, key.map(Secret::new).as_ref())
    }

    fn admin(claims: &serde_json::Value) -> String {
        let key = EncodingKey::from_secret(KEY.as_bytes());
        encode(&Header::new(Algorithm::HS256), claims, &key).expect("a token")
    }

    #[test]
    fn e1_the_secret_opens_and_nothing_like_it_does() {
        let operators = operators(Some("s3cret"), None, None);
        assert_eq!(operators.check(Some("s3cret"), NOW), Ok(None));
        for wrong in ["", "s3cre", "s3cret ", "S3cret", "s3crets"] {
            assert_eq!(operators.check(Some(wrong), NOW), Err(OperatorError::Wrong), "{wrong}");
        }
        assert_eq!(operators.check(None, NOW), Err(OperatorError::Missing));
    }

    #[test]
    fn a10a_the_operator_key_is_as_good_as_the_secret_and_without_either_nobody_is_an_operator() {
        let by_key = operators(None, None, Some("k3y"));
        assert_eq!(by_key.check(Some("k3y"), NOW), Ok(None));
        assert_eq!(by_key.check(Some("anything"), NOW), Err(OperatorError::Wrong));
        assert_eq!(by_key.check(None, NOW), Err(OperatorError::Missing));
        let closed = operators(None, None, None);
        assert_eq!(closed.check(Some(""), NOW), Err(OperatorError::Wrong));
        assert_eq!(closed.check(None, NOW), Err(OperatorError::Missing));
    }

    #[test]
    fn e1_an_admins_token_opens_and_a_players_does_not() {
        let operators = operators(Some("s3cret"), Some(KEY), None);
        let good = json!({"sub": "ops", "exp": NOW + 1, "role": "admin"});
        assert_eq!(operators.check(Some(&admin(&good)), NOW), Ok(Some(NOW + 1)));
        assert_eq!(operators.check(Some("s3cret"), NOW), Ok(None), "the secret still does");
        for change in [
            json!({"role": "player"}),
            json!({"role": null}),
            json!({"role": "Admin"}),
            json!({"role": ["admin"]}),
            json!({"exp": NOW}),
            json!({"exp": null}),
            json!({"nbf": NOW + 1}),
            json!({"game": "chess"}),
        ] {
            let mut claims = good.clone();
            for (name, value) in change.as_object().expect("an object") {
                claims[name] = value.clone();
            }
            claims.as_object_mut().expect("an object").retain(|_, value| !value.is_null());
            assert_eq!(operators.check(Some(&admin(&claims)), NOW), Err(OperatorError::Wrong), "{change}");
        }
        assert_eq!(operators.check(Some(KEY), NOW), Err(OperatorError::Wrong), "the key is no token");
    }
}
