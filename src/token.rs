//! Owns the command `innkeeper token`: it signs a token for a player or an admin with JWT_SECRET.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};

use crate::{
    config::{AuthMode, Config},
    protocol::PlayerId,
};

/// The claims of a token (A11).
#[derive(Debug, Clone, Default)]
pub struct MintedClaims {
    pub player: String,
    /// The games, hubs and proxies the token is limited to; an empty list leaves the claim out.
    pub games: Vec<String>,
    pub hubs: Vec<String>,
    pub proxies: Vec<String>,
    pub role: Option<String>,
    /// The display name in place of the id (S11).
    pub name: Option<String>,
    /// How long the token is valid from now.
    pub ttl: Duration,
}

/// Returns the signed token.
///
/// # Errors
/// A readable sentence: there is no secret to sign with, or the server would reject a claim.
pub fn mint(config: &Config, claims: &MintedClaims, now: SystemTime) -> Result<String, String> {
    let unset = || "tokens are signed with JWT_SECRET, which is unset; set it as the server has it".to_owned();
    let AuthMode::Jwt(settings) = &config.gate.auth.mode else { return Err(unset()) };
    let secret = settings.secret.as_ref().ok_or_else(unset)?;
    let (audience, issuer) = (&settings.audience, &settings.issuer);
    let player = PlayerId::parse(&claims.player).map_err(|error| format!("--player {:?}: {error}", claims.player))?;
    let now = now.duration_since(SystemTime::UNIX_EPOCH).map_err(|_| "the clock is before 1970".to_owned())?.as_secs();
    let mut body = Map::new();
    body.insert("sub".into(), player.as_str().into());
    put(&mut body, &settings.player_claim, player.as_str());
    body.insert("iat".into(), now.into());
    body.insert("exp".into(), now.saturating_add(claims.ttl.as_secs()).into());
    for (name, list) in [("game", &claims.games), ("hub", &claims.hubs), ("proxy", &claims.proxies)] {
        match list.as_slice() {
            [] => {}
            [one] => drop(body.insert(name.into(), one.as_str().into())),
            several => drop(body.insert(name.into(), json!(several))),
        }
    }
    if let Some(role) = &claims.role {
        put(&mut body, &settings.role_claim, role);
    }
    let texts = [("name", &claims.name), ("aud", audience), ("iss", issuer)];
    for (name, text) in texts {
        if let Some(text) = text {
            body.insert(name.into(), text.as_str().into());
        }
    }
    let key = jsonwebtoken::EncodingKey::from_secret(secret.expose().as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &Value::Object(body), &key)
        .map_err(|error| format!("the token cannot be signed: {error}"))
}

/// Sets a claim at the path where the server reads it: `app_metadata.role` is `role` in the object
/// `app_metadata`.
fn put(body: &mut Map<String, Value>, path: &str, text: &str) {
    match path.split_once('.') {
        None => drop(body.insert(path.into(), text.into())),
        Some((first, rest)) => {
            let inner = body.entry(first).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(inner) = inner {
                put(inner, rest, text);
            }
        }
    }
}

/// Parses `90`, `90s`, `15m`, `12h` or `7d`.
///
/// # Errors
/// A sentence that states what is allowed.
pub fn parse_ttl(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_lowercase());
    let unit = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => 0,
    };
    let is_whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let secs = digits.parse::<u64>().ok().filter(|_| is_whole).and_then(|number| number.checked_mul(unit));
    // A hundred years: in milliseconds still an exact integer in a JSON number.
    const MAX_SECS: u64 = 36_525 * 86_400;
    match secs {
        Some(secs) if (1..=MAX_SECS).contains(&secs) => Ok(Duration::from_secs(secs)),
        _ => Err("must be a time above 0, such as 90s, 15m, 12h or 7d".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_to_live_takes_a_unit_and_nothing_else() {
        for (text, secs) in [("90", 90), ("90s", 90), ("15m", 900), ("12h", 43_200), ("7d", 604_800)] {
            assert_eq!(parse_ttl(text), Ok(Duration::from_secs(secs)), "{text}");
        }
        for text in ["", "0", "0h", "-1", "+1", "1.5h", "h", "1w", "1 h", "1hh", "99999999999999999999d", "36526d", "é"]
        {
            assert!(parse_ttl(text).is_err(), "{text}");
        }
    }
}
