//! Owns the tests of tokens: one per rule of A11, and that nothing of a token is ever shown (A12).
//! Called by `cargo test`.

use jsonwebtoken::{EncodingKey, Header, encode};
use proptest::prelude::*;
use serde_json::json;

use super::*;

const NOW: u64 = 1_800_000_000;
const SECRET: &str = "a secret of the tests";

fn signed_with(secret: &str, algorithm: Algorithm, claims: &Value) -> String {
    let _ = rust_crypto::DEFAULT_PROVIDER.install_default();
    encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

/// A good token for alice, with `change` merged over its claims; `null` removes one.
fn token(change: Value) -> String {
    let mut claims = json!({ "sub": "alice", "exp": NOW + 60 });
    for (name, value) in change.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    signed_with(SECRET, Algorithm::HS256, &claims)
}

fn verify(token: &str) -> Result<Identity, TokenError> {
    Tokens::new(SECRET, None, None).verify(token, "chess", "alice", NOW)
}

fn verify_claims(change: Value) -> Result<Identity, TokenError> {
    verify(&token(change))
}

fn unsigned(header: &Value, signature: &str) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{signature}", encode(header), encode(&json!({ "sub": "alice", "exp": NOW + 60 })))
}

#[test]
fn a11_a_good_token_gives_a_player_until_its_expiry() {
    assert_eq!(verify_claims(json!({})), Ok(Identity { role: Role::Player, expires_at: NOW + 60 }));
}

#[test]
fn a11_a_token_made_elsewhere_has_its_signature_checked_first() {
    // The sample of jwt.io: another implementation signed it, and it has no exp.
    let sample = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.\
        eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ.\
        SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c";
    let of = |secret| Tokens::new(secret, None, None).verify(sample, "chess", "1234567890", NOW);
    assert_eq!(of("your-256-bit-secret"), Err(TokenError::NoExpiry));
    assert_eq!(of(SECRET), Err(TokenError::BadSignature));
}

#[test]
fn a11_alg_none_is_refused_in_every_spelling() {
    for alg in [json!("none"), json!("None"), json!("NONE"), json!(""), json!("hs256"), json!(null), json!(1)] {
        for signature in ["", "AAAA"] {
            assert_eq!(verify(&unsigned(&json!({ "alg": alg }), signature)), Err(TokenError::WrongAlgorithm), "{alg}");
        }
    }
    assert_eq!(verify(&unsigned(&json!({ "typ": "JWT" }), "")), Err(TokenError::WrongAlgorithm), "alg is absent");
}

#[test]
fn a11_other_algorithms_are_refused_even_with_the_right_secret() {
    let claims = json!({ "sub": "alice", "exp": NOW + 60 });
    for algorithm in [Algorithm::HS384, Algorithm::HS512] {
        assert_eq!(verify(&signed_with(SECRET, algorithm, &claims)), Err(TokenError::WrongAlgorithm));
    }
    for alg in ["RS256", "ES256", "EdDSA", "PS256", "HS1"] {
        assert_eq!(verify(&unsigned(&json!({ "alg": alg }), "AAAA")), Err(TokenError::WrongAlgorithm));
    }
}

#[test]
fn a11_a_changed_or_foreign_signature_is_refused() {
    let good = token(json!({}));
    let (body, signature) = good.rsplit_once('.').unwrap();
    let claims = json!({ "sub": "alice", "exp": NOW + 60 });
    assert_eq!(verify(&signed_with("another secret", Algorithm::HS256, &claims)), Err(TokenError::BadSignature));
    assert_eq!(verify(&format!("{body}.")), Err(TokenError::BadSignature));
    assert_eq!(verify(&format!("{body}.{}", &signature[..40])), Err(TokenError::BadSignature));
    let other_body = token(json!({ "role": "spectator" }));
    let other_body = other_body.rsplit_once('.').unwrap().0;
    assert_eq!(verify(&format!("{other_body}.{signature}")), Err(TokenError::BadSignature));
}

#[test]
fn a11_expiry_is_required_and_exact() {
    assert_eq!(verify_claims(json!({ "exp": null })), Err(TokenError::NoExpiry));
    assert_eq!(verify_claims(json!({ "exp": NOW })), Err(TokenError::Expired));
    assert_eq!(verify_claims(json!({ "exp": NOW - 1 })), Err(TokenError::Expired));
    assert_eq!(verify_claims(json!({ "exp": -1 })), Err(TokenError::Expired));
    assert_eq!(verify_claims(json!({ "exp": NOW as f64 + 0.5 })), Err(TokenError::Expired), "rounded to the safe side");
    assert!(verify_claims(json!({ "exp": NOW + 1 })).is_ok());
    assert_eq!(verify_claims(json!({ "exp": 1e300 })).unwrap().expires_at, LATEST_UNIX_SECS);
    assert_eq!(verify_claims(json!({ "exp": u64::MAX })).unwrap().expires_at, LATEST_UNIX_SECS);
    assert_eq!(verify_claims(json!({ "exp": "tomorrow" })), Err(TokenError::Malformed));
}

#[test]
fn a11_not_before_is_checked_when_present() {
    assert!(verify_claims(json!({ "nbf": NOW })).is_ok());
    assert_eq!(verify_claims(json!({ "nbf": NOW + 1 })), Err(TokenError::NotYetValid));
    assert_eq!(verify_claims(json!({ "nbf": NOW as f64 + 0.5 })), Err(TokenError::NotYetValid));
    assert_eq!(verify_claims(json!({ "nbf": "now" })), Err(TokenError::Malformed));
}

#[test]
fn a11_audience_and_issuer_are_checked_only_when_configured() {
    assert!(verify_claims(json!({ "aud": "others", "iss": "them" })).is_ok());
    let tokens = Tokens::new(SECRET, Some("game"), Some("us"));
    let verify = |change| tokens.verify(&token(change), "chess", "alice", NOW);
    assert!(verify(json!({ "aud": "game", "iss": "us" })).is_ok());
    assert!(verify(json!({ "aud": ["site", "game"], "iss": "us" })).is_ok());
    for aud in [json!(null), json!("site"), json!([]), json!(["site"]), json!("*")] {
        assert_eq!(verify(json!({ "aud": aud, "iss": "us" })), Err(TokenError::WrongAudience), "{aud}");
    }
    for iss in [json!(null), json!("them"), json!("")] {
        assert_eq!(verify(json!({ "aud": "game", "iss": iss })), Err(TokenError::WrongIssuer), "{iss}");
    }
}

#[test]
fn a11_another_players_sub_is_refused() {
    for sub in [json!(null), json!("bob"), json!("Alice"), json!("*"), json!("")] {
        assert_eq!(verify_claims(json!({ "sub": sub })), Err(TokenError::WrongPlayer), "{sub}");
    }
    assert_eq!(verify_claims(json!({ "sub": ["alice"] })), Err(TokenError::Malformed));
}

#[test]
fn a11_a_game_claim_must_admit_the_game() {
    for game in [json!("chess"), json!("*"), json!(["go", "chess"]), json!(["*"])] {
        assert!(verify_claims(json!({ "game": game })).is_ok(), "{game}");
    }
    for game in [json!("go"), json!(""), json!([]), json!(["go"]), json!("ches*")] {
        assert_eq!(verify_claims(json!({ "game": game })), Err(TokenError::WrongGame), "{game}");
    }
    assert_eq!(verify_claims(json!({ "game": 7 })), Err(TokenError::Malformed));
}

#[test]
fn a11_the_role_is_player_or_spectator() {
    assert_eq!(verify_claims(json!({ "role": "player" })).unwrap().role, Role::Player);
    assert_eq!(verify_claims(json!({ "role": "spectator" })).unwrap().role, Role::Spectator);
    for role in [json!("admin"), json!(""), json!(1), json!(["player"])] {
        assert_eq!(verify_claims(json!({ "role": role })), Err(TokenError::BadRole), "{role}");
    }
}

#[test]
fn a11_what_is_no_jwt_is_malformed() {
    let good = token(json!({}));
    let long = token(json!({ "padding": "x".repeat(MAX_TOKEN_BYTES) }));
    let critical = unsigned(&json!({ "alg": "HS256", "crit": ["b64"], "b64": false }), "AAAA");
    for bad in ["", ".", "..", "a.b.c", "é.é.é", &good.replace('.', ""), &format!("{good}.x"), &format!(" {good}")] {
        assert_eq!(verify(bad), Err(TokenError::Malformed), "{bad}");
    }
    assert_eq!(verify(&long), Err(TokenError::Malformed), "over 8 KiB");
    assert_eq!(verify(&critical), Err(TokenError::Malformed), "an extension that must be understood");
    assert_eq!(verify(&signed_with(SECRET, Algorithm::HS256, &json!([1]))), Err(TokenError::Malformed));
}

#[test]
fn a12_errors_show_nothing_of_the_token() {
    let token = signed_with("another secret", Algorithm::HS256, &json!({ "sub": "mallory", "exp": NOW + 60 }));
    let error = verify(&token).unwrap_err();
    let shown = format!("{error} {error:?} {}", error.code());
    assert!(token.split('.').all(|part| !shown.contains(part)) && !shown.contains("mallory"));
}

proptest! {
    #[test]
    fn a11_random_text_and_random_changes_are_refused(text in ".{0,300}", at in 0_usize..200, byte in 33_u8..127) {
        prop_assert!(verify(&text).is_err());
        let good = token(json!({}));
        let mut changed = good.clone().into_bytes();
        let at = at % changed.len();
        changed[at] = byte;
        let changed = String::from_utf8(changed).unwrap();
        prop_assert!(changed == good || verify(&changed).is_err());
    }
}

#[test]
fn a11_x1_a_guest_may_be_anybody_and_goes_where_the_token_lets_it() {
    let verify = |change: Value, place| Tokens::new(SECRET, None, None).verify_guest(&token(change), place, NOW);
    let guest =
        |name: Option<&str>, role: &str| Ok((Guest { name: name.map(str::to_owned), role: role.to_owned() }, NOW + 60));
    for place in [Place::Hub("options"), Place::Proxy("options")] {
        assert_eq!(verify(json!({}), place), guest(Some("alice"), "player"));
        assert_eq!(verify(json!({"sub": null, "role": "desk_2-b", "game": "chess"}), place), guest(None, "desk_2-b"));
        for bad in [json!(""), json!("two words"), json!("x".repeat(33)), json!(1), json!(["player"])] {
            assert_eq!(verify(json!({ "role": bad }), place), Err(TokenError::BadRole), "{bad}");
        }
        assert_eq!(verify(json!({"exp": NOW}), place), Err(TokenError::Expired));
    }
    for (place, claim, other, wrong) in [
        (Place::Hub("options"), "hub", "proxy", TokenError::WrongHub),
        (Place::Proxy("options"), "proxy", "hub", TokenError::WrongProxy),
    ] {
        for admitted in [json!("options"), json!(["a", "options"]), json!("*")] {
            assert!(verify(json!({ claim: admitted, other: "elsewhere" }), place).is_ok(), "{claim} {admitted}");
        }
        for refused in [json!("a"), json!([]), json!("Options")] {
            assert_eq!(verify(json!({ claim: refused }), place), Err(wrong), "{claim} {refused}");
        }
    }
}
