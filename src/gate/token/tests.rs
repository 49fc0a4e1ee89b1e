//! Owns the tests of tokens: one per rule of A11, and that no part of a token is ever shown (A12).

use jsonwebtoken::{EncodingKey, Header, encode};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::config::Secret;

const NOW: u64 = 1_800_000_000;
const SECRET: &str = "a secret of the tests";

fn signed_with(secret: &str, algorithm: Algorithm, claims: &Value) -> String {
    let _ = rust_crypto::DEFAULT_PROVIDER.install_default();
    encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

/// A valid token for alice, with `change` merged into its claims; `null` removes a claim.
fn token(change: Value) -> String {
    let mut claims = json!({ "sub": "alice", "exp": NOW + 60 });
    for (name, value) in change.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    signed_with(SECRET, Algorithm::HS256, &claims)
}

fn tokens(settings: TokenConfig) -> Tokens {
    let known = ["desk_2-b", "referee"].map(str::to_owned).into();
    Tokens::new(&settings, &[], known).expect("no keys")
}

fn settings(secret: &str) -> TokenConfig {
    TokenConfig { secret: Some(Secret::new(secret)), ..TokenConfig::default() }
}

fn verify(token: &str) -> Result<Identity, TokenError> {
    tokens(settings(SECRET)).verify(token, "chess", "alice", NOW)
}

fn until(at: u64) -> Expiry {
    Expiry { at, is_late: false }
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
    assert_eq!(verify_claims(json!({})), Ok(Identity { role: Role::Player, name: None, expiry: until(NOW + 60) }));
}

#[test]
fn a11_a_token_made_elsewhere_has_its_signature_checked_first() {
    // The sample of jwt.io: signed by another implementation, and without `exp`.
    let sample = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.\
        eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ.\
        SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c";
    let of = |secret| tokens(settings(secret)).verify(sample, "chess", "1234567890", NOW);
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
fn a11_a11b_expiry_is_required_and_exact_and_has_the_leeway() {
    assert_eq!(verify_claims(json!({ "exp": null })), Err(TokenError::NoExpiry));
    assert_eq!(verify_claims(json!({ "exp": NOW - 30 })), Err(TokenError::Expired));
    let late = verify_claims(json!({ "exp": NOW - 29 })).unwrap().expiry;
    assert_eq!(late, Expiry { at: NOW + 1, is_late: true });
    assert_eq!(verify_claims(json!({ "exp": NOW })).unwrap().expiry, Expiry { at: NOW + 30, is_late: true });
    let strict = tokens(TokenConfig { leeway: std::time::Duration::ZERO, ..settings(SECRET) });
    let verify = |change| strict.verify(&token(change), "chess", "alice", NOW);
    assert_eq!(verify(json!({ "exp": NOW })), Err(TokenError::Expired));
    assert_eq!(verify(json!({ "exp": NOW as f64 + 0.5 })), Err(TokenError::Expired), "rounded to the safe side");
    assert!(verify(json!({ "exp": NOW + 1 })).is_ok());
    assert_eq!(verify_claims(json!({ "exp": -1 })), Err(TokenError::Expired));
    assert_eq!(verify_claims(json!({ "exp": 1e300 })).unwrap().expiry.at, LATEST_UNIX_SECS);
    assert_eq!(verify_claims(json!({ "exp": u64::MAX })).unwrap().expiry.at, LATEST_UNIX_SECS);
    assert_eq!(verify_claims(json!({ "exp": "tomorrow" })), Err(TokenError::Malformed));
}

#[test]
fn a11_a11b_not_before_and_issued_at_are_checked_when_present_with_the_leeway() {
    for claim in ["nbf", "iat"] {
        assert!(verify_claims(json!({ claim: NOW + 30 })).is_ok());
        assert_eq!(verify_claims(json!({ claim: NOW + 31 })), Err(TokenError::NotYetValid));
        assert_eq!(verify_claims(json!({ claim: NOW as f64 + 30.5 })), Err(TokenError::NotYetValid));
        assert_eq!(verify_claims(json!({ claim: "now" })), Err(TokenError::Malformed));
    }
}

#[test]
fn a11_audience_and_issuer_are_checked_only_when_configured() {
    assert!(verify_claims(json!({ "aud": "others", "iss": "them" })).is_ok());
    let tokens = tokens(TokenConfig { audience: Some("game".into()), issuer: Some("us".into()), ..settings(SECRET) });
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
fn a11_a11c_the_role_is_player_unless_the_token_says_spectator() {
    for role in ["player", "authenticated", "", "Spectator", "referee", "two words"] {
        assert_eq!(verify_claims(json!({ "role": role })).unwrap().role, Role::Player, "{role}");
    }
    assert_eq!(verify_claims(json!({ "role": "spectator" })).unwrap().role, Role::Spectator);
    for role in [json!([]), json!(["player"]), json!(["offline_access", 1]), json!(["admin"])] {
        assert_eq!(verify_claims(json!({ "role": role })).unwrap().role, Role::Player, "{role}");
    }
    assert_eq!(verify_claims(json!({ "role": ["user", "spectator"] })).unwrap().role, Role::Spectator);
    for role in [json!("admin"), json!(1), json!({})] {
        assert_eq!(verify_claims(json!({ "role": role })), Err(TokenError::BadRole), "{role}");
    }
}

#[test]
fn a11_what_is_no_jwt_is_malformed() {
    let good = token(json!({}));
    let long = token(json!({ "padding": "x".repeat(MAX_TOKEN_BYTES) }));
    let critical = |crit: Value| {
        let header = URL_SAFE_NO_PAD.encode(json!({ "alg": "HS256", "crit": crit }).to_string());
        format!("{header}.{}", good.split_once('.').unwrap().1)
    };
    for bad in ["", ".", "..", "a.b.c", "é.é.é", &good.replace('.', ""), &format!("{good}.x"), &format!(" {good}")] {
        assert_eq!(verify(bad), Err(TokenError::Malformed), "{bad}");
    }
    assert_eq!(verify(&long), Err(TokenError::Malformed), "over 16 KiB");
    for crit in [json!(["b64"]), json!([]), json!(null)] {
        assert_eq!(verify(&critical(crit.clone())), Err(TokenError::Malformed), "must be understood: {crit}");
    }
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
    let verify = |change: Value, place| tokens(settings(SECRET)).verify_client(&token(change), place, NOW);
    let client = |name: Option<&str>, role: &str| {
        Ok((ClientIdentity { name: name.map(str::to_owned), role: role.to_owned() }, until(NOW + 60)))
    };
    for place in [Resource::Hub("options"), Resource::Proxy("options")] {
        assert_eq!(verify(json!({}), place), client(Some("alice"), "player"));
        assert_eq!(verify(json!({"sub": null, "role": "desk_2-b", "game": "chess"}), place), client(None, "desk_2-b"));
        for unknown in ["", "two words", "authenticated", &"x".repeat(33)] {
            assert_eq!(verify(json!({ "role": unknown }), place), client(Some("alice"), "player"), "{unknown}");
        }
        let list = json!(["user", "referee", "desk_2-b"]);
        assert_eq!(verify(json!({ "role": list }), place), client(Some("alice"), "referee"), "the first that is known");
        for bad in [json!(1), json!({})] {
            assert_eq!(verify(json!({ "role": bad }), place), Err(TokenError::BadRole), "{bad}");
        }
        assert_eq!(verify(json!({"exp": NOW - 30}), place), Err(TokenError::Expired));
    }
    for (place, claim, other, wrong) in [
        (Resource::Hub("options"), "hub", "proxy", TokenError::WrongHub),
        (Resource::Proxy("options"), "proxy", "hub", TokenError::WrongProxy),
    ] {
        for admitted in [json!("options"), json!(["a", "options"]), json!("*")] {
            assert!(verify(json!({ claim: admitted, other: "elsewhere" }), place).is_ok(), "{claim} {admitted}");
        }
        for refused in [json!("a"), json!([]), json!("Options")] {
            assert_eq!(verify(json!({ claim: refused }), place), Err(wrong), "{claim} {refused}");
        }
    }
}

#[test]
fn a11c_roles_come_from_the_claim_that_the_settings_name_and_are_mapped() {
    let roles = [("service_role", "admin"), ("authenticated", "referee"), ("guest", "spectator")];
    let tokens = tokens(TokenConfig {
        role_claim: "app_metadata.role".into(),
        roles: roles.map(|(theirs, ours)| (theirs.to_owned(), ours.to_owned())).into(),
        ..settings(SECRET)
    });
    let token = |role: Value| token(json!({ "role": "spectator", "app_metadata": { "role": role } }));
    let client =
        |role: Value| tokens.verify_client(&token(role), Resource::Hub("h"), NOW).map(|(client, _)| client.role);
    for (role, expected) in [
        (json!("authenticated"), "referee"),
        (json!("guest"), "spectator"),
        (json!("desk_2-b"), "desk_2-b"),
        (json!("other"), "player"),
        (json!(null), "player"),
        (json!(["x", "guest", "authenticated"]), "spectator"),
    ] {
        assert_eq!(client(role.clone()).as_deref(), Ok(expected), "{role}");
    }
    assert_eq!(client(json!(["desk_2-b", "authenticated"])).as_deref(), Ok("referee"), "what is mapped comes first");
    assert_eq!(client(json!(["x"])).as_deref(), Ok("player"));
    assert!(tokens.verify_admin(&token(json!("service_role")), NOW).is_ok());
    assert!(tokens.verify_admin(&token(json!("admin")), NOW).is_ok(), "the secret's own word");
    assert_eq!(tokens.verify_admin(&token(json!("authenticated")), NOW), Err(TokenError::BadRole));
}

#[test]
fn a11d_the_player_comes_from_the_claim_that_the_settings_name() {
    let by_id = tokens(TokenConfig { player_claim: "user.id".into(), ..settings(SECRET) });
    let by_url = tokens(TokenConfig { player_claim: "https://id.example/player".into(), ..settings(SECRET) });
    assert!(by_id.verify(&token(json!({"user": {"id": "a|b"}})), "chess", "a~7Cb", NOW).is_ok());
    assert!(by_id.verify(&token(json!({"user": {"id": 17}})), "chess", "17", NOW).is_ok());
    assert!(by_url.verify(&token(json!({"https://id.example/player": "bob"})), "chess", "bob", NOW).is_ok());
    assert_eq!(by_id.verify(&token(json!({})), "chess", "alice", NOW), Err(TokenError::WrongPlayer));
    assert_eq!(verify_claims(json!({"sub": 17})), Err(TokenError::Malformed));
}
