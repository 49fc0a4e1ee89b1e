//! Owns the tests of tokens that issuers sign: which keys count, when they are fetched, and what a
//! token may not decide (A10, A11a, A11c).

use serde_json::{Value, json};

use super::{SECRET, good};
use crate::support::{Issuer, Server, SigningKey, assert_ended, token, unix_secs};

fn claims(more: &Value) -> Value {
    let mut claims = json!({"sub": "alice", "exp": unix_secs(3600)});
    claims.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    claims
}

fn welcome(server: &Server, token: &str) {
    server.connect(&format!("/ws/g/alice?token={token}")).welcomed().close();
}

fn refused(server: &Server, token: &str, code: u16, error: &str) {
    assert_ended(server.connect(&format!("/ws/g/alice?token={token}")), code, error);
}

#[test]
fn a11a_tokens_of_an_issuer_come_in_by_rs256_es256_and_eddsa_and_those_of_the_secret_beside_them() {
    let keys = [SigningKey::rs256("r"), SigningKey::es256("e"), SigningKey::ed25519("d")];
    let (first, second) = (Issuer::with(&[&keys[0], &keys[1]]), Issuer::with(&[&keys[2]]));
    let urls = format!("{}, {}", first.url(), second.url());
    for settings in [&[("JWT_JWKS_URL", urls.as_str())][..], &[("JWT_JWKS_URL", &urls), ("JWT_SECRET", SECRET)]] {
        let server = Server::start(settings);
        for key in &keys {
            welcome(&server, &key.sign(&claims(&json!({}))));
            welcome(&server, &key.sign_as(None, &claims(&json!({}))));
            refused(&server, &key.sign(&claims(&json!({"sub": "bob"}))), 4003, "token_wrong_player");
            let forged = key.sign(&claims(&json!({})));
            let (body, signature) = forged.rsplit_once('.').expect("three parts");
            let flipped = if signature.starts_with('A') { "B" } else { "A" };
            let forged = format!("{body}.{flipped}{}", &signature[1..]);
            refused(&server, &forged, 4003, "token_bad_signature");
        }
        match settings.len() {
            1 => refused(&server, &good("alice"), 4003, "token_wrong_algorithm"),
            _ => welcome(&server, &good("alice")),
        }
    }
}

#[test]
fn a11a_a_public_key_of_the_settings_counts_as_text_and_as_a_files_path() {
    let dir = tempfile::tempdir().expect("a directory");
    for key in [SigningKey::rs256("r"), SigningKey::es256("e"), SigningKey::ed25519("d")] {
        let file = dir.path().join("key.pem");
        std::fs::write(&file, &key.pem).expect("a file");
        for value in [key.pem.clone(), key.pem.replace('\n', "\\n"), file.to_str().expect("UTF-8").to_owned()] {
            let server = Server::start(&[("JWT_PUBLIC_KEY", &value)]);
            welcome(&server, &key.sign(&claims(&json!({}))));
            refused(
                &server,
                &SigningKey::es256("e").sign(&claims(&json!({}))),
                4003,
                match key.kid.as_str() {
                    "e" => "token_bad_signature",
                    _ => "token_wrong_algorithm",
                },
            );
        }
    }
    let (old, new) = (SigningKey::es256("old"), SigningKey::rs256("new"));
    let both = Server::start(&[("JWT_PUBLIC_KEY", &format!("{}\n{}", old.pem, new.pem))]);
    for key in [&old, &new] {
        welcome(&both, &key.sign(&claims(&json!({}))));
    }
    let useless = SigningKey::useless_pems();
    let garbage = ["/does/not/exist.pem", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"];
    for wrong in garbage.into_iter().chain(useless.iter().map(String::as_str)) {
        let (code, err) =
            crate::startup::refused(Server::command(env!("CARGO_BIN_EXE_innkeeper"), &[("JWT_PUBLIC_KEY", wrong)]));
        assert!(code == 64 && err.contains("JWT_PUBLIC_KEY"), "{code}: {err}");
    }
}

#[test]
fn a11a_the_key_decides_the_algorithm_and_never_the_token() {
    let (rsa, ec) = (SigningKey::rs256("r"), SigningKey::es256("e"));
    let issuer = Issuer::with(&[&rsa, &ec]);
    let server = Server::start(&[("JWT_JWKS_URL", &issuer.url()), ("JWT_SECRET", SECRET)]);
    // The public key's own text as a secret: everybody has it.
    for text in [&rsa.pem, rsa.pem.trim(), &ec.pem, &rsa.jwk.to_string(), rsa.jwk["n"].as_str().expect("n")] {
        refused(&server, &token(text, &claims(&json!({}))), 4003, "token_bad_signature");
    }
    refused(&server, &ec.sign_as(Some("r"), &claims(&json!({}))), 4003, "token_wrong_algorithm");
    refused(&server, &rsa.sign_as(Some("e"), &claims(&json!({}))), 4003, "token_wrong_algorithm");
    let only = Server::start(&[("JWT_PUBLIC_KEY", &rsa.pem)]);
    refused(&only, &token(&rsa.pem, &claims(&json!({}))), 4003, "token_wrong_algorithm");
}

#[test]
fn a11a_keys_that_are_symmetric_short_or_for_something_else_are_passed_over() {
    let key = SigningKey::es256("e");
    let mut encrypts = SigningKey::ed25519("x").jwk;
    encrypts["use"] = json!("enc");
    let symmetric = json!({"kty": "oct", "kid": "o", "alg": "HS256", "k": "c2VjcmV0"});
    let short = json!({"kty": "RSA", "kid": "s", "n": "AQAB", "e": "AQAB"});
    let issuer = Issuer::start();
    issuer.publish_set(json!({"keys": [symmetric, short, encrypts, 1, {"kty": "EC"}, key.jwk]}));
    let server = Server::start(&[("JWT_JWKS_URL", &issuer.url())]);
    welcome(&server, &key.sign(&claims(&json!({}))));
    refused(&server, &token("secret", &claims(&json!({}))), 4003, "token_wrong_algorithm");
    server.wait_for_log(|line| line["message"] == "fetched an issuer's keys" && line["keys"] == 1);
}

#[test]
fn a11a_while_no_key_is_known_the_verdict_waits_and_the_server_is_not_ready() {
    let (key, issuer) = (SigningKey::es256("e"), Issuer::start());
    let token = key.sign(&claims(&json!({"role": "boss"})));
    let url = issuer.url();
    let settings = [("JWT_JWKS_URL", url.as_str()), ("JWT_ROLES", "boss=admin"), ("AUTH_TIMEOUT_MS", "1000")];
    let hasty = Server::start(&settings);
    assert_eq!(hasty.get("/ready").status, 503);
    refused(&hasty, &token, 1013, "unavailable");
    let header = [("Authorization", format!("Bearer {token}"))];
    let header = header.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert_eq!(hasty.get_with("/api/games", &header).status, 503);
    assert_ended(hasty.connect(&format!("/ws/_server?token={token}")), 1013, "unavailable");

    let patient = Server::start(&[("JWT_JWKS_URL", &url), ("AUTH_TIMEOUT_MS", "60000")]);
    let player = key.sign(&claims(&json!({})));
    let mut early = patient.connect(&format!("/ws/g/alice?token={player}"));
    early.send(&json!({"type": "send", "id": 1, "data": "kept"}));
    let mut by_frame = patient.connect("/ws/g/alice2");
    by_frame.send(&json!({"type": "auth", "token": key.sign(&claims(&json!({"sub": "alice2"})))}));
    issuer.publish(&[&key]);
    let mut early = early.welcomed();
    assert_eq!(early.until_type("message")["data"], "kept");
    by_frame.welcomed();
    patient.wait_until(|| patient.get("/ready").status == 200, "ready");
    hasty.wait_until(|| hasty.get("/ready").status == 200, "ready");
    assert_eq!(hasty.get_with("/api/games", &header).status, 200);
}

#[test]
fn a11a_an_unknown_key_is_fetched_once_and_the_last_keys_stay_while_the_issuer_fails() {
    let (old, new, never) = (SigningKey::es256("old"), SigningKey::ed25519("new"), SigningKey::es256("never"));
    let issuer = Issuer::with(&[&old]);
    let server = Server::start(&[("JWT_JWKS_URL", &issuer.url()), ("AUTH_TIMEOUT_MS", "3000")]);
    welcome(&server, &old.sign(&claims(&json!({}))));
    assert_eq!(issuer.fetches(), 1);
    issuer.publish(&[&old, &new]);
    welcome(&server, &new.sign(&claims(&json!({}))));
    assert_eq!(issuer.fetches(), 2);
    issuer.fail();
    refused(&server, &never.sign(&claims(&json!({}))), 1013, "unavailable");
    refused(&server, &never.sign(&claims(&json!({}))), 1013, "unavailable");
    assert_eq!(issuer.fetches(), 2, "the next one is not due");
    welcome(&server, &old.sign(&claims(&json!({}))));
    welcome(&server, &new.sign(&claims(&json!({}))));
}

#[test]
fn a11a_a_redirect_of_the_issuer_is_not_followed() {
    let key = SigningKey::es256("e");
    let (honest, stolen) = (Issuer::start(), Issuer::with(&[&key]));
    honest.redirect_to(stolen.url());
    let server = Server::start(&[("JWT_JWKS_URL", &honest.url()), ("AUTH_TIMEOUT_MS", "1000")]);
    server.wait_for_log(|line| {
        line["message"] == "an issuer's keys cannot be fetched" && line["reason"].to_string().contains("302")
    });
    refused(&server, &key.sign(&claims(&json!({}))), 1013, "unavailable");
    assert_eq!(stolen.fetches(), 0);
}

#[test]
fn a11a_an_issuer_that_is_down_does_not_have_the_others_asked_all_the_time_and_holds_none_of_their_new_keys_back() {
    let (first, second) = (SigningKey::es256("first"), SigningKey::ed25519("second"));
    let (up, down) = (Issuer::with(&[&first]), Issuer::start());
    let urls = format!("{}, {}", up.url(), down.url());
    let server = Server::start(&[("JWT_JWKS_URL", &urls), ("AUTH_TIMEOUT_MS", "20000")]);
    server.wait_until(|| down.fetches() >= 4, "the one that is down is asked again");
    assert_eq!(up.fetches(), 1);
    up.publish(&[&first, &second]);
    welcome(&server, &second.sign(&claims(&json!({}))));
    assert_eq!(up.fetches(), 2);
}

#[test]
fn a10_a_server_that_has_only_issuers_keys_is_not_open() {
    let issuer = Issuer::with(&[&SigningKey::es256("e")]);
    let server = Server::start(&[("JWT_JWKS_URL", &issuer.url()), ("AUTH_TIMEOUT_MS", "500")]);
    for path in ["/ws/g/alice", "/ws/options", "/proxy/openai", "/ws/_server"] {
        assert_ended(server.connect(path), 4001, "auth_timeout");
    }
    assert_eq!(server.operator_key(), None, "admins' tokens operate it");
    assert!(!server.log_text().contains("DEVELOPMENT MODE"));
    let evil = [("Origin", "http://localhost:5173")];
    assert_eq!(server.try_connect("/ws/g/alice", &evil).err(), Some(403), "no page of this machine either");
}

#[test]
fn a11c_the_bare_word_admin_of_an_issuer_is_a_player_and_only_the_settings_make_an_admin() {
    let key = SigningKey::es256("e");
    let issuer = Issuer::with(&[&key]);
    let server = Server::start(&[
        ("JWT_JWKS_URL", &issuer.url()),
        ("JWT_SECRET", SECRET),
        ("JWT_ROLES", "service_role=admin,watcher=spectator"),
    ]);
    let status = |token: &str| {
        let bearer = format!("Bearer {token}");
        server.get_with("/api/games", &[("Authorization", &bearer)]).status
    };
    assert_eq!(status(&key.sign(&claims(&json!({"role": "admin"})))), 403);
    assert_eq!(status(&token(SECRET, &claims(&json!({"role": "admin"})))), 200);
    assert_eq!(status(&key.sign(&claims(&json!({"role": "service_role"})))), 200);
    for (role, expected) in [("admin", "player"), ("authenticated", "player"), ("watcher", "spectator")] {
        welcome(&server, &key.sign(&claims(&json!({"role": role, "sub": "alice"}))));
        let line = server.wait_for_log(|line| line["event"] == "WS_CONNECTION_ESTABLISHED" && line["role"] == expected);
        assert_eq!(line["player"], "alice", "{role}");
    }
}
