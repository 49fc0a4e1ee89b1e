//! Owns an issuer of tokens as tests need one: keys made on the spot, and the endpoint that
//! publishes them.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{
    KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PublicKeyData as _, SignatureAlgorithm,
};
use rsa::{
    RsaPrivateKey,
    pkcs1::{EncodeRsaPrivateKey as _, EncodeRsaPublicKey as _, LineEnding},
    traits::PublicKeyParts as _,
};
use serde_json::{Value, json};

/// A key pair with the name by which tokens call it.
#[derive(Clone)]
pub struct SigningKey {
    pub kid: String,
    pub algorithm: Algorithm,
    key: EncodingKey,
    pub jwk: Value,
    /// The public key.
    pub pem: String,
}

impl SigningKey {
    pub fn es256(kid: &str) -> Self {
        let pair = pair(&PKCS_ECDSA_P256_SHA256);
        let point = pair.der_bytes();
        let jwk = json!({"kty": "EC", "crv": "P-256", "x": b64(&point[1..33]), "y": b64(&point[33..])});
        Self::new(kid, Algorithm::ES256, EncodingKey::from_ec_der(&pair.serialize_der()), jwk, pair.public_key_pem())
    }

    pub fn ed25519(kid: &str) -> Self {
        let pair = pair(&PKCS_ED25519);
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": b64(pair.der_bytes())});
        Self::new(kid, Algorithm::EdDSA, EncodingKey::from_ed_der(&pair.serialize_der()), jwk, pair.public_key_pem())
    }

    /// One pair serves all tests: making it takes a second.
    pub fn rs256(kid: &str) -> Self {
        static PAIR: OnceLock<RsaPrivateKey> = OnceLock::new();
        let pair = PAIR.get_or_init(|| RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).expect("a key"));
        let der = pair.to_pkcs1_der().expect("a key");
        let jwk = json!({"kty": "RSA", "n": b64(&pair.n().to_bytes_be()), "e": b64(&pair.e().to_bytes_be())});
        let pem = pair.to_public_key().to_pkcs1_pem(LineEnding::LF).expect("a key");
        Self::new(kid, Algorithm::RS256, EncodingKey::from_rsa_der(der.as_bytes()), jwk, pem)
    }

    /// PEMs of keys that no token here can be signed with: of another curve, and too short.
    pub fn useless_pems() -> [String; 2] {
        let short = RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 1024).expect("a key");
        let short = short.to_public_key().to_pkcs1_pem(LineEnding::LF).expect("a key");
        [pair(&PKCS_ECDSA_P384_SHA384).public_key_pem(), short]
    }

    fn new(kid: &str, algorithm: Algorithm, key: EncodingKey, mut jwk: Value, pem: String) -> Self {
        jwk["kid"] = json!(kid);
        jwk["use"] = json!("sig");
        Self { kid: kid.to_owned(), algorithm, key, jwk, pem }
    }

    /// A token with this key's name in its header.
    pub fn sign(&self, claims: &Value) -> String {
        self.sign_as(Some(&self.kid), claims)
    }

    /// A token that calls its key so, or not at all.
    pub fn sign_as(&self, kid: Option<&str>, claims: &Value) -> String {
        let header = Header { kid: kid.map(str::to_owned), ..Header::new(self.algorithm) };
        jsonwebtoken::encode(&header, claims, &self.key).expect("signed")
    }
}

fn pair(algorithm: &'static SignatureAlgorithm) -> KeyPair {
    KeyPair::generate_for(algorithm).expect("a key")
}

fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The endpoint of a JWK set on this machine. It answers 503 until something is published.
pub struct Issuer {
    port: u16,
    set: Arc<Mutex<Option<Value>>>,
    /// Where it sends those who ask, if it does.
    elsewhere: Arc<Mutex<Option<String>>>,
    fetches: Arc<AtomicUsize>,
}

impl Issuer {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let issuer = Self { port, set: Arc::default(), elsewhere: Arc::default(), fetches: Arc::default() };
        let (set, elsewhere) = (issuer.set.clone(), issuer.elsewhere.clone());
        let fetches = issuer.fetches.clone();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let mut request = Vec::new();
                let mut byte = [0];
                while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|count| count == 1) {
                    request.push(byte[0]);
                }
                fetches.fetch_add(1, Ordering::SeqCst);
                let elsewhere = elsewhere.lock().expect("the address").clone();
                let (status, body) = match (&*set.lock().expect("the set"), elsewhere) {
                    (_, Some(url)) => (format!("302 Found\r\nLocation: {url}"), String::new()),
                    (Some(set), None) => ("200 OK".to_owned(), set.to_string()),
                    (None, None) => ("503 Service Unavailable".to_owned(), String::new()),
                };
                let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
                let _ = stream.write_all(format!("{head}{body}").as_bytes());
            }
        });
        issuer
    }

    /// One that publishes this key already.
    pub fn with(keys: &[&SigningKey]) -> Self {
        let issuer = Self::start();
        issuer.publish(keys);
        issuer
    }

    pub fn publish(&self, keys: &[&SigningKey]) {
        let keys: Vec<_> = keys.iter().map(|key| key.jwk.clone()).collect();
        self.publish_set(json!({ "keys": keys }));
    }

    pub fn publish_set(&self, set: Value) {
        *self.set.lock().expect("the set") = Some(set);
    }

    /// From now on it answers 503.
    pub fn fail(&self) {
        *self.set.lock().expect("the set") = None;
    }

    /// From now on it answers with a redirect.
    pub fn redirect_to(&self, url: String) {
        *self.elsewhere.lock().expect("the address") = Some(url);
    }

    /// For `JWT_JWKS_URL`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/.well-known/jwks.json", self.port)
    }

    pub fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }
}
