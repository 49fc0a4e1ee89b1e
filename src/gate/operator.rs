//! Owns who may operate the server: whoever has `HTTP_API_SECRET`, or a token with the role `admin` (E1).
//! Called by `http` for the operators' API, and for subscribers of the server's own hub.

use std::{fmt, net::IpAddr};

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::token::Tokens;
use crate::config::{AuthConfig, AuthMode};

/// What an operator's token is checked against. It holds secrets, so it has no `Debug`.
pub struct Operators {
    /// Hashed, so that comparing tells nothing of its length either.
    secret: Option<[u8; 32]>,
    tokens: Option<Tokens>,
    /// Development mode: the person at this very machine needs no token.
    is_open_to_loopback: bool,
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
                "this is for operators: send `Authorization: Bearer` with HTTP_API_SECRET or a JWT of role admin; \
                 without any secret set, only this machine itself may ask"
            }
            Self::Wrong => "the token is neither HTTP_API_SECRET nor a JWT of role admin",
        })
    }
}

impl std::error::Error for OperatorError {}

impl Operators {
    /// `is_proxied`: on a hosting platform, or behind a proxy of one's own, nobody is at the machine itself.
    pub fn new(auth: &AuthConfig, is_proxied: bool) -> Self {
        let tokens = match &auth.mode {
            AuthMode::Open => None,
            AuthMode::Jwt { secret, audience, issuer } => {
                Some(Tokens::new(secret.expose(), audience.as_deref(), issuer.as_deref()))
            }
        };
        Self {
            secret: auth.api_secret.as_ref().map(|secret| hash(secret.expose())),
            is_open_to_loopback: tokens.is_none() && auth.api_secret.is_none() && !is_proxied,
            tokens,
        }
    }

    /// E1. `from_loopback` is what [`is_local`] says of the request. A token that is there is judged, even where none is
    /// needed.
    ///
    /// # Errors
    /// [`OperatorError`].
    pub fn check(&self, token: Option<&str>, from_loopback: bool, now_unix_secs: u64) -> Result<(), OperatorError> {
        self.admit(token, from_loopback, now_unix_secs).map(|_| ())
    }

    /// As [`Operators::check`], for a connection that stays: until when, in unix seconds; `None`: as long as it likes.
    ///
    /// # Errors
    /// [`OperatorError`].
    pub fn admit(
        &self,
        token: Option<&str>,
        from_loopback: bool,
        now_unix_secs: u64,
    ) -> Result<Option<u64>, OperatorError> {
        let Some(token) = token else {
            return if self.is_open_to_loopback && from_loopback { Ok(None) } else { Err(OperatorError::Missing) };
        };
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

/// Headers by which a proxy says that it speaks for somebody else.
const FORWARDING: [&str; 5] = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via"];

/// Whether a request comes from this very machine, as far as can be told: the socket's address, the name it asked for
/// (a page elsewhere may have its own name point here), no page from elsewhere, and no proxy in between.
pub fn is_local<'a>(peer: IpAddr, header: impl Fn(&str) -> Option<&'a str>) -> bool {
    let is_of_this_machine = |origin: &str| {
        origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")).is_some_and(is_loopback_authority)
    };
    peer.to_canonical().is_loopback()
        && header("host").is_some_and(is_loopback_authority)
        && header("origin").is_none_or(is_of_this_machine)
        && FORWARDING.iter().all(|name| header(name).is_none())
}

/// `localhost`, `127.…` or `[::1]`, with or without a port.
fn is_loopback_authority(authority: &str) -> bool {
    let name = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => authority.split_once(':').map_or(authority, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, time::Duration};

    use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
    use serde_json::json;

    use super::*;
    use crate::config::Secret;

    const NOW: u64 = 1_800_000_000;
    const KEY: &str = "the key of the tests, long enough";

    fn operators(api_secret: Option<&str>, jwt_secret: Option<&str>, is_proxied: bool) -> Operators {
        let mode = match jwt_secret {
            Some(secret) => AuthMode::Jwt { secret: Secret::new(secret), audience: None, issuer: None },
            None => AuthMode::Open,
        };
        let auth = AuthConfig { mode, timeout: Duration::from_secs(1), api_secret: api_secret.map(Secret::new) };
        Operators::new(&auth, is_proxied)
    }

    fn admin(claims: &serde_json::Value) -> String {
        let key = EncodingKey::from_secret(KEY.as_bytes());
        encode(&Header::new(Algorithm::HS256), claims, &key).expect("a token")
    }

    #[test]
    fn e1_the_secret_opens_and_nothing_like_it_does() {
        let operators = operators(Some("s3cret"), None, false);
        assert_eq!(operators.check(Some("s3cret"), false, NOW), Ok(()));
        for wrong in ["", "s3cre", "s3cret ", "S3cret", "s3crets"] {
            assert_eq!(operators.check(Some(wrong), true, NOW), Err(OperatorError::Wrong), "{wrong}");
        }
        assert_eq!(operators.check(None, true, NOW), Err(OperatorError::Missing), "loopback alone is not enough");
    }

    #[test]
    fn e1_without_any_secret_it_is_closed_except_to_this_machine() {
        let open = operators(None, None, false);
        assert_eq!(open.check(None, true, NOW), Ok(()));
        assert_eq!(open.check(None, false, NOW), Err(OperatorError::Missing));
        assert_eq!(open.check(Some("anything"), true, NOW), Err(OperatorError::Wrong));
        assert_eq!(operators(None, None, true).check(None, true, NOW), Err(OperatorError::Missing), "proxied");
        assert_eq!(operators(None, Some(KEY), false).check(None, true, NOW), Err(OperatorError::Missing));
    }

    #[test]
    fn e1_an_admins_token_opens_and_a_players_does_not() {
        let operators = operators(Some("s3cret"), Some(KEY), false);
        let good = json!({"sub": "ops", "exp": NOW + 1, "role": "admin"});
        assert_eq!(operators.check(Some(&admin(&good)), false, NOW), Ok(()));
        assert_eq!(operators.check(Some("s3cret"), false, NOW), Ok(()), "the secret still does");
        assert_eq!(operators.admit(Some(&admin(&good)), false, NOW), Ok(Some(NOW + 1)), "and for how long");
        assert_eq!(operators.admit(Some("s3cret"), false, NOW), Ok(None));
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
            assert_eq!(operators.check(Some(&admin(&claims)), false, NOW), Err(OperatorError::Wrong), "{change}");
        }
        assert_eq!(operators.check(Some(KEY), false, NOW), Err(OperatorError::Wrong), "the key is no token");
    }

    #[test]
    fn e1_this_machine_is_told_by_address_and_name_and_the_absence_of_a_proxy() {
        let asked = |peer: &str, headers: &[(&str, &str)]| {
            let headers: HashMap<_, _> = headers.iter().copied().collect();
            is_local(peer.parse().expect("an address"), |name| headers.get(name).copied())
        };
        for host in ["localhost", "localhost:8080", "LOCALHOST", "127.0.0.1:1", "[::1]:8080", "[::1]"] {
            assert!(asked("127.0.0.1", &[("host", host)]), "{host}");
        }
        // A name that somebody else has pointed here (DNS rebinding) is somebody else's.
        for host in ["evil.example", "localhost.evil.example", "10.0.0.1:8080", "", "[::2]", "[::1"] {
            assert!(!asked("127.0.0.1", &[("host", host)]), "{host}");
        }
        assert!(!asked("127.0.0.1", &[]) && !asked("10.0.0.1", &[("host", "localhost")]));
        assert!(asked("::1", &[("host", "localhost")]) && asked("::ffff:127.0.0.1", &[("host", "localhost")]));
        for (origin, expected) in [
            ("http://localhost:5173", true),
            ("https://127.0.0.1", true),
            ("https://play.example", false),
            ("http://localhost.play.example", false),
            ("null", false),
            ("", false),
        ] {
            assert_eq!(asked("127.0.0.1", &[("host", "localhost"), ("origin", origin)]), expected, "{origin}");
        }
        for name in FORWARDING {
            assert!(!asked("127.0.0.1", &[("host", "localhost"), (name, "1.2.3.4")]), "{name}");
        }
    }
}
