//! Owns the keys of issuers: which exist, which ones may verify a token, and when to fetch them
//! again (A11a).

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde_json::Value;
use tokio::sync::{Notify, watch};

use super::{TokenError, claims::Claims};

/// The shortest RSA modulus (RFC 7518, section 3.3).
const MIN_RSA_BYTES: usize = 256;
/// The object identifier of the curve P-256 in DER (RFC 5480, section 2.1.1.1).
const P256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

/// A public key and its only algorithm. The token's `alg` must agree with it, and never selects it.
///
/// RSA is only used to verify: RUSTSEC-2023-0071 is about the timing of operations with private
/// keys, which the server does not have.
#[derive(Clone)]
pub(crate) struct VerificationKey {
    kid: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

/// The issuers' keys at a moment.
#[derive(Clone, Default)]
struct KnownKeys {
    /// One list for each URL; `None` until the first successful fetch.
    issuers: Vec<Option<Arc<Vec<VerificationKey>>>>,
    /// The number of rounds of fetches so far, failed ones included.
    round: u64,
}

/// The keys that tokens are verified with: those of the settings, and those that are fetched.
pub(crate) struct VerificationKeys {
    fixed: Vec<VerificationKey>,
    fetched: watch::Sender<Arc<KnownKeys>>,
    wanted: Notify,
}

impl VerificationKeys {
    /// `pems` are the texts of `JWT_PUBLIC_KEY`; `issuers` is the number of URLs to fetch.
    ///
    /// # Errors
    /// Describes what is wrong with a text.
    pub(crate) fn new(pems: &[String], issuers: usize) -> Result<Self, String> {
        let fixed = pems.iter().map(|pem| VerificationKey::from_pem(pem)).collect::<Result<_, _>>()?;
        let known = KnownKeys { issuers: vec![None; issuers], round: 0 };
        Ok(Self { fixed, fetched: watch::Sender::new(Arc::new(known)), wanted: Notify::new() })
    }

    /// Returns whether the settings have a public key or a URL of keys.
    pub(crate) fn is_any(&self) -> bool {
        !self.fixed.is_empty() || !self.known().issuers.is_empty()
    }

    /// Returns whether the settings have a public key.
    pub(crate) fn has_fixed(&self) -> bool {
        !self.fixed.is_empty()
    }

    /// Returns whether the keys of every URL were fetched at least once.
    pub(crate) fn is_complete(&self) -> bool {
        self.known().issuers.iter().all(Option::is_some)
    }

    /// Returns the number of rounds of fetches so far, failed ones included. After each, a waiting
    /// verdict can be tried again.
    pub(crate) fn round(&self) -> u64 {
        self.known().round
    }

    /// Waits for another round than this one.
    pub(crate) async fn after(&self, round: u64) {
        // Cannot fail: `self` holds the sender.
        let _ = self.fetched.subscribe().wait_for(|known| known.round != round).await;
    }

    /// Waits until a token arrives whose key is unknown.
    pub(crate) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Stores the result of a round, one entry for each URL. `None`: the fetch failed, and the
    /// earlier keys stay.
    pub(crate) fn store(&self, fetched: Vec<Option<Vec<VerificationKey>>>) {
        self.fetched.send_modify(|known| {
            let known = Arc::make_mut(known);
            for (old, new) in known.issuers.iter_mut().zip(fetched) {
                *old = new.map(Arc::new).or(old.take());
            }
            known.round += 1;
        });
    }

    /// Returns the claims of a token that one of the keys signed.
    pub(super) fn verify(&self, token: &str, algorithm: Algorithm, kid: Option<&str>) -> Result<Claims, TokenError> {
        let known = self.known();
        let keys = || self.fixed.iter().chain(known.issuers.iter().flatten().flat_map(|keys| keys.iter()));
        let may_be = |key: &&VerificationKey| kid.is_none() || key.kid.is_none() || key.kid.as_deref() == kid;
        let mut error = None;
        for key in keys().filter(may_be) {
            if key.algorithm != algorithm {
                error.get_or_insert(TokenError::WrongAlgorithm);
                continue;
            }
            match decode(token, &key.key, &validation(algorithm)) {
                Ok(decoded) => return Ok(decoded.claims),
                Err(why) => error = Some(super::refused(&why)),
            }
        }
        let is_named = keys().any(|key| key.kid.is_some() && key.kid.as_deref() == kid);
        let may_come = !known.issuers.is_empty() && !is_named && (kid.is_some() || !self.is_complete());
        if may_come {
            self.wanted.notify_one();
            return Err(TokenError::KeyPending);
        }
        Err(error.unwrap_or(TokenError::WrongAlgorithm))
    }

    fn known(&self) -> Arc<KnownKeys> {
        self.fetched.borrow().clone()
    }
}

/// Lets the crate check the algorithm and the signature only. `token` checks the claims, as the
/// crate can only use the system's clock.
pub(super) fn validation(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}

impl VerificationKey {
    /// Returns the keys of a JWK set (RFC 7517) that can verify a token here. Skips others, such as
    /// symmetric ones.
    pub(crate) fn from_jwks(text: &str) -> Result<Vec<Self>, String> {
        let set: Value = serde_json::from_str(text).map_err(|_| "it is no JSON".to_owned())?;
        let keys = set["keys"].as_array().ok_or("it has no list \"keys\"")?;
        let usable: Vec<_> = keys.iter().filter_map(Self::from_jwk).collect();
        if usable.is_empty() { Err("it has no key for RS256, ES256 or EdDSA".to_owned()) } else { Ok(usable) }
    }

    fn from_jwk(jwk: &Value) -> Option<Self> {
        let text = |name: &str| jwk[name].as_str();
        let (algorithm, key) = match (text("kty")?, text("crv")) {
            ("RSA", _) if rsa_bytes(text("n")?) >= MIN_RSA_BYTES => {
                (Algorithm::RS256, DecodingKey::from_rsa_components(text("n")?, text("e")?))
            }
            ("EC", Some("P-256")) => (Algorithm::ES256, DecodingKey::from_ec_components(text("x")?, text("y")?)),
            ("OKP", Some("Ed25519")) => (Algorithm::EdDSA, DecodingKey::from_ed_components(text("x")?)),
            _ => return None,
        };
        let is_for_signing = text("use").is_none_or(|purpose| purpose == "sig");
        let is_for_this = text("alg").is_none_or(|name| algorithm_of(name) == Some(algorithm));
        let key = key.ok().filter(|_| is_for_signing && is_for_this)?;
        Some(Self { kid: text("kid").map(str::to_owned), algorithm, key })
    }

    /// Parses one key. An unusable key is an error, as a server that started with it would refuse
    /// every client.
    fn from_pem(pem: &str) -> Result<Self, String> {
        if pem.contains("PRIVATE KEY") {
            return Err("holds a private key; the server needs the public one alone".to_owned());
        }
        let bytes = pem.as_bytes();
        let der = der(pem).unwrap_or_default();
        let (algorithm, key) = if let Ok(key) = DecodingKey::from_rsa_pem(bytes) {
            // The DER around the modulus is far shorter than the difference to the next key size in
            // use.
            if der.len() <= MIN_RSA_BYTES {
                return Err("has an RSA key of less than 2048 bits".to_owned());
            }
            (Algorithm::RS256, key)
        } else if let Ok(key) = DecodingKey::from_ec_pem(bytes) {
            if !der.windows(P256.len()).any(|part| part == P256) {
                return Err("has a key on another curve than P-256, which ES256 is for".to_owned());
            }
            (Algorithm::ES256, key)
        } else if let Ok(key) = DecodingKey::from_ed_pem(bytes) {
            (Algorithm::EdDSA, key)
        } else {
            return Err("is no public key in PEM for RS256, ES256 (P-256) or EdDSA".to_owned());
        };
        Ok(Self { kid: None, algorithm, key })
    }
}

/// Returns the content of a PEM block.
fn der(pem: &str) -> Option<Vec<u8>> {
    let (_, rest) = pem.split_once("-----BEGIN ")?.1.split_once("-----")?;
    let body: String = rest.split_once("-----END")?.0.split_whitespace().collect();
    STANDARD.decode(body).ok()
}

/// Returns the algorithm of an issuer's key, by its name in token headers and JWKs.
pub(super) fn algorithm_of(name: &str) -> Option<Algorithm> {
    match name {
        "RS256" => Some(Algorithm::RS256),
        "ES256" => Some(Algorithm::ES256),
        "EdDSA" | "Ed25519" => Some(Algorithm::EdDSA),
        _ => None,
    }
}

/// Returns the length in bytes of a modulus in base64url.
fn rsa_bytes(modulus: &str) -> usize {
    modulus.trim_end_matches('=').len() * 3 / 4
}
