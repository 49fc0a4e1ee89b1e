//! Owns the tests of a token's claims and signature (A11).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::{OTHER_SECRET, SECRET, server};
use crate::support::{Server, token, unix_secs};

/// What becomes of a token in the query for /ws/game-1/alice: `welcome`, or the code of the
/// refusal.
fn verdict(server: &Server, token: &str) -> String {
    let mut client = server.connect(&format!("/ws/game-1/alice?token={token}"));
    let first = client.next();
    if first["type"] == "welcome" {
        client.close();
        server.wait_for_metric("innkeeper_connections", 0.0);
        return "welcome".to_owned();
    }
    let (ended, _) = client.ended();
    assert_eq!(ended.code, 4003, "{first} {ended:?}");
    assert_eq!(first["type"], "error", "{first}");
    first["code"].as_str().expect("a code").to_owned()
}

fn assert_verdicts(server: &Server, cases: &[(Value, &str)]) {
    for (claims, expected) in cases {
        assert_eq!(verdict(server, &token(SECRET, claims)), *expected, "{claims}");
    }
}

/// A token of these very parts, with a correct HS256 signature whatever the header says.
fn forged(header: &Value, claims: &Value) -> String {
    let signed = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key, Algorithm::HS256).expect("signed");
    format!("{signed}.{signature}")
}

#[test]
fn a11_sub_must_be_the_player_and_exp_is_required_and_nbf_is_checked() {
    let exp = unix_secs(3600);
    let cases = [
        (json!({"sub": "alice", "exp": exp}), "welcome"),
        (json!({"sub": "alice", "exp": exp, "nbf": unix_secs(-10), "iat": unix_secs(-10), "x": [1]}), "welcome"),
        (json!({"sub": "alice", "exp": exp as f64 + 0.5}), "welcome"),
        (json!({"sub": "bob", "exp": exp}), "token_wrong_player"),
        (json!({"sub": "Alice", "exp": exp}), "token_wrong_player"),
        (json!({"sub": "alice ", "exp": exp}), "token_wrong_player"),
        (json!({"exp": exp}), "token_wrong_player"),
        (json!({"sub": "alice"}), "token_no_expiry"),
        (json!({"sub": "alice", "exp": null}), "token_no_expiry"),
        (json!({"sub": "alice", "exp": unix_secs(-60)}), "token_expired"),
        (json!({"sub": "alice", "exp": 0}), "token_expired"),
        (json!({"sub": "alice", "exp": -1}), "token_expired"),
        (json!({"sub": "alice", "exp": exp.to_string()}), "token_malformed"),
        (json!({"sub": "alice", "exp": exp, "nbf": unix_secs(600)}), "token_not_yet_valid"),
    ];
    assert_verdicts(&server(), &cases);
}

#[test]
fn a11_aud_and_iss_are_checked_once_configured_and_only_then() {
    let claims = |extra: Value| {
        let mut claims = json!({"sub": "alice", "exp": unix_secs(3600)});
        claims.as_object_mut().expect("object").extend(extra.as_object().cloned().expect("object"));
        claims
    };
    let strict =
        Server::start(&[("JWT_SECRET", SECRET), ("JWT_AUDIENCE", "inn"), ("JWT_ISSUER", "https://id.example")]);
    let (inn, issuer) = ("inn", "https://id.example");
    let cases = [
        (claims(json!({"aud": inn, "iss": issuer})), "welcome"),
        (claims(json!({"aud": ["other", inn], "iss": issuer})), "welcome"),
        (claims(json!({"iss": issuer})), "token_wrong_audience"),
        (claims(json!({"aud": "other", "iss": issuer})), "token_wrong_audience"),
        (claims(json!({"aud": [], "iss": issuer})), "token_wrong_audience"),
        (claims(json!({"aud": inn})), "token_wrong_issuer"),
        (claims(json!({"aud": inn, "iss": "https://id.example/"})), "token_wrong_issuer"),
    ];
    assert_verdicts(&strict, &cases);
    assert_verdicts(&server(), &[(claims(json!({"aud": "other", "iss": "other"})), "welcome")]);
}

#[test]
fn a11_a_game_claim_must_admit_the_game() {
    let claims = |game: Value| json!({"sub": "alice", "exp": unix_secs(3600), "game": game});
    let cases = [
        (claims(json!("game-1")), "welcome"),
        (claims(json!("*")), "welcome"),
        (claims(json!(["game-0", "game-1"])), "welcome"),
        (claims(json!(["game-0", "*"])), "welcome"),
        (claims(json!("game-2")), "token_wrong_game"),
        (claims(json!("game-*")), "token_wrong_game"),
        (claims(json!("game")), "token_wrong_game"),
        (claims(json!(["game-0", "game-2"])), "token_wrong_game"),
        (claims(json!([])), "token_wrong_game"),
        (claims(json!(1)), "token_malformed"),
    ];
    assert_verdicts(&server(), &cases);
}

#[test]
fn a11_the_role_is_player_unless_the_token_says_spectator() {
    let claims = |role: Value| json!({"sub": "alice", "exp": unix_secs(3600), "role": role});
    let server = server();
    for role in ["Spectator", "", "authenticated"] {
        assert_eq!(verdict(&server, &token(SECRET, &claims(json!(role)))), "welcome", "{role}");
    }
    assert_eq!(verdict(&server, &token(SECRET, &claims(json!("admin")))), "token_bad_role");
    let mut spectator = server.connect(&format!("/ws/g/alice?token={}", token(SECRET, &claims(json!("spectator")))));
    spectator = spectator.welcomed();
    spectator.send(&json!({"type": "send", "id": 1, "data": 1}));
    let error = spectator.next();
    assert_eq!((&error["code"], &error["id"]), (&json!("forbidden"), &json!(1)), "{error}");
    // `?spectate=1` is for development mode only: with a token, the token decides.
    let player = token(SECRET, &claims(json!("player")));
    let mut player = server.connect(&format!("/ws/g2/alice?spectate=1&token={player}")).welcomed();
    assert_eq!(player.welcome["players"], json!({"alice": "joined"}));
    player.send(&json!({"type": "send", "id": 1, "data": 1}));
    assert_eq!(player.next()["type"], "message");
}

#[test]
fn a11_a_token_of_another_algorithm_or_another_key_or_none_is_refused() {
    let server = server();
    let claims = json!({"sub": "alice", "exp": unix_secs(3600)});
    let whole = token(SECRET, &claims);
    let parts: Vec<&str> = whole.split('.').collect();
    let unsigned = |alg: &str| {
        let header = URL_SAFE_NO_PAD.encode(json!({"alg": alg, "typ": "JWT"}).to_string());
        format!("{header}.{}.", parts[1])
    };
    let hs512 =
        jsonwebtoken::encode(&Header::new(Algorithm::HS512), &claims, &EncodingKey::from_secret(SECRET.as_bytes()));
    let alg = |alg: Value| forged(&json!({"alg": alg, "typ": "JWT"}), &claims);
    let changed = URL_SAFE_NO_PAD.encode(json!({"sub": "alice", "exp": unix_secs(7200)}).to_string());
    let cases = [
        (alg(json!("HS256")), "welcome"),
        (unsigned("none"), "token_wrong_algorithm"),
        (unsigned("None"), "token_wrong_algorithm"),
        (alg(json!("none")), "token_wrong_algorithm"),
        (alg(json!("RS256")), "token_wrong_algorithm"),
        (alg(json!("HS384")), "token_wrong_algorithm"),
        (alg(json!(null)), "token_wrong_algorithm"),
        (hs512.expect("signed"), "token_wrong_algorithm"),
        (forged(&json!({"alg": "HS256", "crit": ["x"], "x": 1}), &claims), "token_malformed"),
        (token(OTHER_SECRET, &claims), "token_bad_signature"),
        (token("", &claims), "token_bad_signature"),
        (unsigned("HS256"), "token_bad_signature"),
        (format!("{}.{changed}.{}", parts[0], parts[2]), "token_bad_signature"),
        (whole[..whole.len() - 3].to_owned(), "token_bad_signature"),
        (format!("{}.{}", parts[0], parts[1]), "token_malformed"),
        (format!("{whole}.{}", parts[2]), "token_malformed"),
        ("garbage".to_owned(), "token_malformed"),
        ("...".to_owned(), "token_malformed"),
        ("a.b.c".to_owned(), "token_malformed"),
        ("%00%ff%F0%9F%98%80".to_owned(), "token_malformed"),
        (format!("{whole}{}", "A".repeat(17_000)), "token_malformed"),
    ];
    for (token, expected) in &cases {
        assert_eq!(verdict(&server, token), *expected, "{token}");
    }
}
