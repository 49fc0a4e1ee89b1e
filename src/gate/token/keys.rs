//! Owns the keys of issuers: which there are, how one is found for a token, and when they are
//! wanted again (A11a).

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde_json::Value;
use tokio::sync::{Notify, watch};

use super::{TokenError, claims::Claims};

/// The shortest RSA modulus (RFC 7518, section 3.3).
const MIN_RSA_BYTES: usize = 256;
/// The name of the curve P-256 in DER (RFC 5480, section 2.1.1.1).
const P256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

/// A public key, and the one algorithm that it is for. What a token says of its algorithm must agree, and decides nothing.
///
/// RSA here only verifies: RUSTSEC-2023-0071 is about the timing of operations with private keys, of which there are none.
#[derive(Clone)]
pub struct VerificationKey {
    kid: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

/// What is known of the issuers' keys at a moment.
#[derive(Clone, Default)]
struct KnownKeys {
    /// One list for each URL; `None`: never fetched.
    issuers: Vec<Option<Arc<Vec<VerificationKey>>>>,
    /// Counts up whenever keys were fetched, or could not be.
    round: u64,
}

/// The keys that tokens are verified with: those of the settings, and those that are fetched.
pub struct VerificationKeys {
    fixed: Vec<VerificationKey>,
    fetched: watch::Sender<Arc<KnownKeys>>,
    wanted: Notify,
}

impl VerificationKeys {
    /// `pems`: the texts of `JWT_PUBLIC_KEY`; `issuers`: how many URLs are fetched.
    ///
    /// # Errors
    /// What is wrong with a text, in words.
    pub fn new(pems: &[String], issuers: usize) -> Result<Self, String> {
        let fixed = pems.iter().map(|pem| VerificationKey::from_pem(pem)).collect::<Result<_, _>>()?;
        let known = KnownKeys { issuers: vec![None; issuers], round: 0 };
        Ok(Self { fixed, fetched: watch::Sender::new(Arc::new(known)), wanted: Notify::new() })
    }

    /// Whether there is, or may be, a key of an issuer.
    pub fn is_any(&self) -> bool {
        !self.fixed.is_empty() || !self.known().issuers.is_empty()
    }

    /// Whether the settings have a key themselves.
    pub fn has_fixed(&self) -> bool {
        !self.fixed.is_empty()
    }

    /// Whether every issuer's keys were fetched once.
    pub fn is_complete(&self) -> bool {
        self.known().issuers.iter().all(Option::is_some)
    }

    /// Counts up whenever keys were fetched, or could not be; a verdict that waits may be asked for again then.
    pub fn round(&self) -> u64 {
        self.known().round
    }

    /// Waits for a round after this one.
    pub async fn after(&self, round: u64) {
        // The sender is here.
        let _ = self.fetched.subscribe().wait_for(|known| known.round != round).await;
    }

    /// Waits until a token came whose key is not known.
    pub async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// The result of one round, an entry for each URL; `None`: not reached, its last keys stay.
    pub fn store(&self, fetched: Vec<Option<Vec<VerificationKey>>>) {
        self.fetched.send_modify(|known| {
            let known = Arc::make_mut(known);
            for (old, new) in known.issuers.iter_mut().zip(fetched) {
                *old = new.map(Arc::new).or(old.take());
            }
            known.round += 1;
        });
    }

    /// The claims of a token that one of the keys signed.
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

/// The crate checks algorithm and signature. Claims are checked in `token`, because the crate can only use the system's clock.
pub(super) fn validation(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}

impl VerificationKey {
    /// The keys of a JWK set (RFC 7517) that can verify a token here. Others, symmetric ones among them, are passed over.
    pub fn from_jwks(text: &str) -> Result<Vec<Self>, String> {
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

    /// One key. What starts with a key that no token can ever be verified with would turn everybody away.
    fn from_pem(pem: &str) -> Result<Self, String> {
        if pem.contains("PRIVATE KEY") {
            return Err("holds a private key; the server needs the public one alone".to_owned());
        }
        let bytes = pem.as_bytes();
        let der = der(pem).unwrap_or_default();
        let (algorithm, key) = if let Ok(key) = DecodingKey::from_rsa_pem(bytes) {
            // What stands around the modulus is far shorter than the step to the next size that is in use.
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

/// What stands between the lines of a PEM block.
fn der(pem: &str) -> Option<Vec<u8>> {
    let (_, rest) = pem.split_once("-----BEGIN ")?.1.split_once("-----")?;
    let body: String = rest.split_once("-----END")?.0.split_whitespace().collect();
    STANDARD.decode(body).ok()
}

/// The algorithms of issuers' keys, by the names that headers and JWKs have for them.
pub(super) fn algorithm_of(name: &str) -> Option<Algorithm> {
    match name {
        "RS256" => Some(Algorithm::RS256),
        "ES256" => Some(Algorithm::ES256),
        "EdDSA" | "Ed25519" => Some(Algorithm::EdDSA),
        _ => None,
    }
}

/// The length of a modulus in base64url.
fn rsa_bytes(modulus: &str) -> usize {
    modulus.trim_end_matches('=').len() * 3 / 4
}
