//! Owns the tests of docs/auth.md: a token in the form of each issuer comes in with the settings
//! that stand there.

use serde_json::{Value, json};

use crate::support::{Issuer, Server, SigningKey, assert_ended, token, unix_secs};

const GUIDE: &str = include_str!("../../../docs/auth.md");

/// The settings of a section, with the URL of the keys exchanged for the test's own.
fn settings(section: &str, issuer: &Issuer) -> Vec<(String, String)> {
    let (_, block) = GUIDE.split_once(&format!("```env {section}\n")).expect("the section has settings");
    let (block, _) = block.split_once("```").expect("the block ends");
    let pairs = block.lines().map(|line| line.split_once('=').expect("NAME=value"));
    pairs
        .map(|(name, value)| {
            let value = if name == "JWT_JWKS_URL" { issuer.url() } else { value.to_owned() };
            (name.to_owned(), value)
        })
        .collect()
}

fn server(settings: &[(String, String)]) -> Server {
    Server::start(&settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect::<Vec<_>>())
}

/// The token's player comes in with this role, and neither another player nor a token for somebody
/// else's program does.
fn assert_works(server: &Server, player: &str, role: &str, sign: impl Fn(&Value) -> String, claims: &Value) {
    let path = |player: &str, claims: &Value| format!("/ws/g/{player}?token={}", sign(claims));
    server.connect(&path(player, claims)).welcomed().close();
    let line = server.wait_for_log(|line| line["event"] == "WS_CONNECTION_ESTABLISHED" && line["player"] == player);
    assert_eq!(line["role"], role, "{line}");
    assert_ended(server.connect(&path("mallory", claims)), 4003, "token_wrong_player");
    let mut foreign = claims.clone();
    foreign["iss"] = json!("https://elsewhere.example");
    assert_ended(server.connect(&path(player, &foreign)), 4003, "token_wrong_issuer");
    if claims.get("aud").is_some() {
        let mut foreign = claims.clone();
        foreign["aud"] = json!("another-program");
        assert_ended(server.connect(&path(player, &foreign)), 4003, "token_wrong_audience");
    }
}

#[test]
fn a11a_supabases_users_come_in_and_its_service_role_operates() {
    let key = SigningKey::es256("b81269f1-21d8-4f2e-b719-c2240a840d90");
    let server = server(&settings("supabase", &Issuer::with(&[&key])));
    let user = "6f1c0a0e-7a8f-4f5b-9d59-0a2f5f0c7d11";
    let claims = json!({
        "iss": "https://PROJECT.supabase.co/auth/v1", "sub": user, "aud": "authenticated", "exp": unix_secs(3600),
        "iat": unix_secs(0), "email": "ann@example.com", "phone": "", "app_metadata": {"provider": "email"},
        "user_metadata": {}, "role": "authenticated", "aal": "aal1", "amr": [{"method": "password", "timestamp": 1}],
        "session_id": "c9fbd9c0-5c1b-4a4b-8a34-5b1f2b7a1f10", "is_anonymous": false
    });
    assert_works(&server, user, "player", |claims| key.sign(claims), &claims);
    let operates = |role: &str| {
        let mut claims = claims.clone();
        claims["role"] = json!(role);
        let bearer = format!("Bearer {}", key.sign(&claims));
        server.get_with("/api/games", &[("Authorization", &bearer)]).status
    };
    assert_eq!(["authenticated", "admin", "service_role"].map(operates), [403, 403, 200]);
}

#[test]
fn a11a_auth0s_users_come_in_by_their_escaped_names() {
    let key = SigningKey::rs256("NjVBRjY5MDlCMUIwNzU4RTA2QzZFMDQ4QzQ2MDAyQjVDNjk1RTM2Qg");
    let server = server(&settings("auth0", &Issuer::with(&[&key])));
    let claims = json!({
        "iss": "https://TENANT.eu.auth0.com/", "sub": "auth0|5f7c8ec7c33c6c004bbafe82",
        "aud": ["https://game.example/api", "https://TENANT.eu.auth0.com/userinfo"], "iat": unix_secs(0),
        "exp": unix_secs(86_400), "azp": "my_client_id", "scope": "openid profile",
        "https://game.example/role": "spectator"
    });
    assert_works(&server, "auth0~7C5f7c8ec7c33c6c004bbafe82", "spectator", |claims| key.sign(claims), &claims);
}

#[test]
fn a11a_clerks_users_come_in_with_the_role_of_their_metadata() {
    let key = SigningKey::rs256("ins_2NNEqL2nrIRdJ194ndJqAHwEfxC");
    let server = server(&settings("clerk", &Issuer::with(&[&key])));
    let claims = json!({
        "iss": "https://clerk.game.example", "sub": "user_2NNEqL2nrIRdJ194ndJqAHwEfxC", "exp": unix_secs(60),
        "iat": unix_secs(0), "nbf": unix_secs(5), "sid": "sess_2NNEqL2nrIRdJ194ndJqAHwEfxD", "azp": "https://game.example",
        "v": 2, "fva": [0, -1], "metadata": {"role": "spectator"}
    });
    assert_works(&server, "user_2NNEqL2nrIRdJ194ndJqAHwEfxC", "spectator", |claims| key.sign(claims), &claims);
}

#[test]
fn a11a_firebases_users_come_in_and_those_of_other_projects_do_not() {
    let key = SigningKey::rs256("6a8df4bb1bc4a0ea9e3c8c0f5d2c47cb0ee1c6a5");
    let server = server(&settings("firebase", &Issuer::with(&[&key])));
    let claims = json!({
        "iss": "https://securetoken.google.com/PROJECT", "aud": "PROJECT", "auth_time": unix_secs(-9),
        "user_id": "Uc8vQ4hYt0ZBxBLJb1kGf8ceXKD3", "sub": "Uc8vQ4hYt0ZBxBLJb1kGf8ceXKD3", "iat": unix_secs(0),
        "exp": unix_secs(3600), "email_verified": false,
        "firebase": {"identities": {"email": ["ann@example.com"]}, "sign_in_provider": "password"}
    });
    assert_works(&server, "Uc8vQ4hYt0ZBxBLJb1kGf8ceXKD3", "player", |claims| key.sign(claims), &claims);
}

#[test]
fn a11_a_token_that_next_js_mints_comes_in() {
    let settings = settings("nextauth", &Issuer::start());
    let (_, secret) = settings.iter().find(|(name, _)| name == "JWT_SECRET").expect("a secret").clone();
    let claims = json!({
        "name": "Ann", "sub": "ann@example.com", "iss": "https://app.example", "aud": "game", "iat": unix_secs(0),
        "exp": unix_secs(600)
    });
    assert_works(&server(&settings), "ann~40example.com", "player", |claims| token(&secret, claims), &claims);
}
