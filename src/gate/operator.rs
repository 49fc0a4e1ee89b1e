//! Owns who may operate the server: clients with `HTTP_API_SECRET`, with the operator key of
//! development mode (A10a), or with a token of the role `admin` (E1). No address grants it.

use std::{
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{
    RateLimiter,
    token::{AdminScope, Expiry, TokenError, Tokens},
};
use crate::config::{GateConfig, Secret};

/// How many addresses are remembered with their wrong tokens.
const MAX_ADDRESSES: usize = 10_000;

/// The secrets that operators' tokens, and the shared token of hubs, are checked against. Has no
/// `Debug`, as it holds secrets.
pub(crate) struct Operators {
    /// Hashed, so that the comparison does not reveal the length either.
    secret: Option<[u8; 32]>,
    hub_token: Option<[u8; 32]>,
    tokens: Option<Arc<Tokens>>,
    /// Counts wrong tokens per address (A15).
    wrong: Mutex<RateLimiter>,
}

/// The address of a request, and its time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asking {
    pub address: IpAddr,
    pub unix_secs: u64,
    pub instant: Instant,
}

/// Why a request is not an operator's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OperatorError {
    /// No token: 401.
    Missing,
    /// A wrong token: 403.
    Wrong,
    /// The address has sent too many wrong tokens: 429, until this time has passed.
    Limited(Duration),
    /// The issuer's keys may still arrive (A11a).
    Pending,
}

impl OperatorError {
    /// Returns the stable `error.code`.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Missing => "unauthorized",
            Self::Wrong => "forbidden",
            Self::Limited(_) => "rate_limit",
            Self::Pending => "unavailable",
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
            Self::Limited(_) => {
                "too many wrong tokens from this address (RATE_LIMIT_MAX_REQUESTS in RATE_LIMIT_WINDOW_MS); retry later"
            }
            Self::Pending => "the issuer's keys are not known at the moment; ask again later",
        })
    }
}

impl std::error::Error for OperatorError {}

impl Operators {
    /// `key` is the operator key, if the server has made one. It grants what the secret grants
    /// (A10a).
    pub(crate) fn new(gate: &GateConfig, key: Option<&Secret>, tokens: Option<Arc<Tokens>>) -> Self {
        let auth = &gate.auth;
        let wrong = RateLimiter::new(gate.rate_limit_max_requests, gate.rate_limit_window, MAX_ADDRESSES);
        Self {
            secret: auth.api_secret.as_ref().or(key).map(|secret| hash(secret.expose())),
            hub_token: auth.hub_token.as_ref().map(|token| hash(token.expose())),
            tokens,
            wrong: Mutex::new(wrong),
        }
    }

    /// E1: checks an operator's token. Returns what it grants, and when the connection ends;
    /// `None`: it may stay open.
    ///
    /// # Errors
    /// [`OperatorError`]. A wrong token counts against its address.
    pub(crate) fn check(
        &self,
        token: Option<&str>,
        asking: Asking,
    ) -> Result<(AdminScope, Option<Expiry>), OperatorError> {
        let token = token.ok_or(OperatorError::Missing)?;
        self.limit(asking)?;
        if self.secret.is_some_and(|secret| is_same(secret, token)) {
            return Ok((AdminScope::EVERYTHING, None));
        }
        match self.tokens.as_ref().map(|tokens| tokens.verify_admin(token, asking.unix_secs)) {
            Some(Ok((scope, expiry))) => Ok((scope, Some(expiry))),
            Some(Err(TokenError::KeyPending)) => Err(OperatorError::Pending),
            Some(Err(_)) | None => {
                self.count_wrong(asking);
                Err(OperatorError::Wrong)
            }
        }
    }

    /// A16: returns whether hubs accept the shared token, beside a JWT.
    pub(crate) fn has_hub_token(&self) -> bool {
        self.hub_token.is_some()
    }

    /// A16: returns whether this is the shared token of hubs.
    pub(crate) fn is_hub_token(&self, token: &str) -> bool {
        self.hub_token.is_some_and(|known| is_same(known, token))
    }

    /// Checks that the address has not sent too many wrong tokens (A15).
    ///
    /// # Errors
    /// [`OperatorError::Limited`].
    pub(crate) fn limit(&self, asking: Asking) -> Result<(), OperatorError> {
        let wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        wrong.exhausted(asking.address, asking.instant).map_or(Ok(()), |left| Err(OperatorError::Limited(left)))
    }

    /// Counts a wrong token against the address.
    pub(crate) fn count_wrong(&self, asking: Asking) {
        // The result does not matter: past the limit, `limit` refuses the address's next token
        // unread.
        let _ = self.wrong.lock().unwrap_or_else(PoisonError::into_inner).attempt(asking.address, asking.instant);
    }

    /// Returns the tokens' verifier, for callers that wait for keys.
    pub(crate) fn tokens(&self) -> Option<&Arc<Tokens>> {
        self.tokens.as_ref()
    }
}

fn is_same(known: [u8; 32], token: &str) -> bool {
    known.ct_eq(&hash(token)).into()
}

fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
    use serde_json::json;

    use super::*;
    use crate::config::{AuthMode, Config, TokenConfig};

    const NOW: u64 = 1_800_000_000;
    const KEY: &str = "the key of the tests, long enough";

    fn asking() -> Asking {
        Asking { address: IpAddr::from([203, 0, 113, 1]), unix_secs: NOW, instant: Instant::now() }
    }

    fn operators(api_secret: Option<&str>, jwt_secret: Option<&str>, key: Option<&str>) -> Operators {
        let mut gate = Config::default().gate;
        gate.auth.api_secret = api_secret.map(Secret::new);
        gate.auth.hub_token = Some(Secret::new("the token of hubs"));
        let tokens = jwt_secret.map(|secret| {
            let config = TokenConfig { secret: Some(Secret::new(secret)), ..TokenConfig::default() };
            gate.auth.mode = AuthMode::Jwt(Box::new(config.clone()));
            Arc::new(Tokens::new(&config, &[], Default::default()).expect("no keys"))
        });
        Operators::new(&gate, key.map(Secret::new).as_ref(), tokens)
    }

    fn verdict(operators: &Operators, token: Option<&str>) -> Result<Option<u64>, OperatorError> {
        operators.check(token, asking()).map(|(_, expiry)| expiry.map(|expiry| expiry.at))
    }

    fn admin(claims: &serde_json::Value) -> String {
        let key = EncodingKey::from_secret(KEY.as_bytes());
        encode(&Header::new(Algorithm::HS256), claims, &key).expect("a token")
    }

    #[test]
    fn e1_the_secret_opens_and_nothing_like_it_does() {
        let operators = operators(Some("s3cret"), None, None);
        assert_eq!(verdict(&operators, Some("s3cret")), Ok(None));
        for wrong in ["", "s3cre", "s3cret ", "S3cret", "s3crets", "the token of hubs"] {
            assert_eq!(verdict(&operators, Some(wrong)), Err(OperatorError::Wrong), "{wrong}");
        }
        assert_eq!(verdict(&operators, None), Err(OperatorError::Missing));
    }

    #[test]
    fn a10a_the_operator_key_is_as_good_as_the_secret_and_without_either_nobody_is_an_operator() {
        let by_key = operators(None, None, Some("k3y"));
        assert_eq!(verdict(&by_key, Some("k3y")), Ok(None));
        assert_eq!(verdict(&by_key, Some("anything")), Err(OperatorError::Wrong));
        assert_eq!(verdict(&by_key, None), Err(OperatorError::Missing));
        let closed = operators(None, None, None);
        assert_eq!(verdict(&closed, Some("")), Err(OperatorError::Wrong));
        assert_eq!(verdict(&closed, None), Err(OperatorError::Missing));
    }

    #[test]
    fn a15_wrong_tokens_of_an_address_are_limited_and_others_are_not_affected() {
        let operators = operators(Some("s3cret"), None, None);
        for _ in 0..100 {
            assert_eq!(verdict(&operators, Some("wrong")), Err(OperatorError::Wrong));
        }
        for token in ["wrong", "s3cret"] {
            assert!(matches!(verdict(&operators, Some(token)), Err(OperatorError::Limited(_))), "{token}");
        }
        assert_eq!(verdict(&operators, None), Err(OperatorError::Missing), "who shows nothing guesses nothing");
        let other = Asking { address: IpAddr::from([203, 0, 113, 2]), ..asking() };
        assert!(operators.check(Some("s3cret"), other).is_ok());
    }

    #[test]
    fn e1_an_admins_token_opens_and_a_players_does_not() {
        let operators = operators(Some("s3cret"), Some(KEY), None);
        let good = json!({"sub": "ops", "exp": NOW + 1, "role": "admin"});
        assert_eq!(verdict(&operators, Some(&admin(&good))), Ok(Some(NOW + 1)));
        assert_eq!(verdict(&operators, Some("s3cret")), Ok(None), "the secret still does");
        for change in [
            json!({"role": "player"}),
            json!({"role": null}),
            json!({"role": "Admin"}),
            json!({"role": ["admin"]}),
            json!({"exp": NOW - 30}),
            json!({"exp": null}),
            json!({"nbf": NOW + 31}),
        ] {
            let mut claims = good.clone();
            for (name, value) in change.as_object().expect("an object") {
                claims[name] = value.clone();
            }
            claims.as_object_mut().expect("an object").retain(|_, value| !value.is_null());
            assert_eq!(verdict(&operators, Some(&admin(&claims))), Err(OperatorError::Wrong), "{change}");
        }
        assert_eq!(verdict(&operators, Some(KEY)), Err(OperatorError::Wrong), "the key is no token");
    }

    #[test]
    fn a11e_an_admins_token_opens_no_more_than_it_names() {
        let operators = operators(None, Some(KEY), None);
        let scope = |places: serde_json::Value| {
            let mut claims = json!({"exp": NOW + 1, "role": "admin"});
            claims.as_object_mut().expect("an object").extend(places.as_object().expect("an object").clone());
            operators.check(Some(&admin(&claims)), asking()).expect("an operator").0
        };
        for all in [json!({}), json!({"game": "*"}), json!({"game": ["a", "*"], "hub": "*", "proxy": ["*"]})] {
            let scope = scope(all.clone());
            assert!(scope.is_everything() && scope.admits_game("b") && scope.admits_hub("_server"), "{all}");
        }
        let one = scope(json!({"game": ["a", "b"]}));
        assert!(one.admits_game("a") && !one.admits_game("c") && !one.admits_hub("a") && !one.is_everything());
        let hub = scope(json!({"hub": "_server"}));
        assert!(hub.admits_hub("_server") && !hub.admits_hub("lobby") && !hub.admits_game("a") && !hub.is_everything());
        let proxy = scope(json!({"proxy": "openai", "game": "*"}));
        assert!(proxy.admits_game("a") && !proxy.admits_hub("lobby") && !proxy.is_everything());
        let none = scope(json!({"game": []}));
        assert!(!none.admits_game("a") && !none.is_everything());
    }
}
