//! Owns the settings of authentication: how players authenticate, whose tokens are accepted, and
//! the credential of operators.

use std::time::Duration;

use url::Url;

use super::{
    feeds::is_role,
    gate::Platform,
    reader::SettingReader,
    secret::{Secret, is_quoted},
    table::{self, Setting},
    urls::{self, is_this_machine},
};

/// RFC 7518, section 3.2: a shorter key than the hash is easier to guess than the signature.
const MIN_SECRET_BYTES: usize = 32;
const MIN_HUB_TOKEN_BYTES: usize = 16;

#[derive(Debug, Clone)]
pub struct AuthConfig {
    pub mode: AuthMode,
    /// A11: for the first frame.
    pub timeout: Duration,
    /// E1: the credential of operators and back ends; `None`: only a JWT of role `admin` is
    /// accepted.
    pub api_secret: Option<Secret>,
    /// A16: a credential that admits to hubs besides tokens.
    pub hub_token: Option<Secret>,
}

#[derive(Debug, Clone)]
pub enum AuthMode {
    /// A10, "development": no client is authenticated.
    Open,
    Jwt(Box<TokenConfig>),
}

/// Whose tokens are accepted, and what their claims mean (A11, A11a to A11d). There is at least one
/// key.
#[derive(Debug, Clone)]
pub struct TokenConfig {
    /// HS256.
    pub secret: Option<Secret>,
    /// Issuers' keys that are fetched; https, or http on this machine.
    pub jwks_urls: Vec<Url>,
    /// An issuer's key: PEM, or the path of a file that holds it.
    pub public_key: Option<String>,
    pub audience: Option<String>,
    pub issuer: Option<String>,
    pub leeway: Duration,
    /// A claim's name, or names with dots between.
    pub role_claim: String,
    /// From an issuer's role to one of ours.
    pub roles: Vec<(String, String)>,
    pub player_claim: String,
}

impl Default for TokenConfig {
    /// The settings' defaults, without a key.
    fn default() -> Self {
        Self {
            secret: None,
            jwks_urls: Vec::new(),
            public_key: None,
            audience: None,
            issuer: None,
            leeway: Duration::from_secs(30),
            role_claim: "role".to_owned(),
            roles: Vec::new(),
            player_claim: "sub".to_owned(),
        }
    }
}

pub(super) fn auth(reader: &mut SettingReader<'_>, platform: Option<Platform>) -> AuthConfig {
    let off = reader.text(&table::AUTH).as_deref() == Some("off");
    let keys = [&table::JWT_SECRET, &table::JWT_JWKS_URL, &table::JWT_PUBLIC_KEY];
    let tokens = TokenConfig {
        secret: strong_secret(reader, &table::JWT_SECRET, MIN_SECRET_BYTES),
        jwks_urls: reader.parsed_list(&table::JWT_JWKS_URL, jwks_url).unwrap_or_default(),
        public_key: reader.text(&table::JWT_PUBLIC_KEY),
        audience: reader.text(&table::JWT_AUDIENCE),
        issuer: reader.text(&table::JWT_ISSUER),
        leeway: reader.get(&table::JWT_LEEWAY),
        role_claim: reader.text(&table::JWT_ROLE_CLAIM).unwrap_or_default(),
        roles: reader.parsed_list(&table::JWT_ROLES, role).unwrap_or_default(),
        player_claim: reader.text(&table::JWT_PLAYER_CLAIM).unwrap_or_default(),
    };
    let set = keys.into_iter().find(|key| reader.is_set(key));
    match set {
        None => {
            let rules = [&table::JWT_AUDIENCE, &table::JWT_ISSUER, &table::JWT_ROLES];
            for setting in rules {
                if reader.is_set(setting) {
                    reader.report(setting, "does nothing while JWT_SECRET is unset; set that, or unset this");
                }
            }
            if let Some(platform) = platform.filter(|_| !off && !reader.is_bad(&table::AUTH)) {
                let message = format!(
                    "is unset on a hosted platform ({} is set), where anyone could play as anyone; \
                     set it, or JWT_JWKS_URL, or AUTH=off to run open on purpose",
                    platform.variable()
                );
                reader.report(&table::JWT_SECRET, &message);
            }
        }
        Some(key) if off => {
            let message = format!("is off, yet {} is set; unset one of them", key.name);
            reader.report(&table::AUTH, &message);
        }
        Some(_) => {}
    }
    AuthConfig {
        mode: if set.is_some() && !off { AuthMode::Jwt(Box::new(tokens)) } else { AuthMode::Open },
        timeout: reader.get(&table::AUTH_TIMEOUT_MS),
        api_secret: strong_secret(reader, &table::HTTP_API_SECRET, MIN_SECRET_BYTES),
        hub_token: strong_secret(reader, &table::HUB_TOKEN, MIN_HUB_TOKEN_BYTES),
    }
}

/// A15.
fn strong_secret(reader: &mut SettingReader<'_>, setting: &Setting, min_bytes: usize) -> Option<Secret> {
    let secret = reader.secret(setting)?;
    let text = secret.expose();
    if is_quoted(text) {
        reader.reject(setting, "", "stands in literal quotes; remove them");
    } else if text.len() < min_bytes {
        reader.reject(setting, "", &format!("is shorter than {min_bytes} bytes"));
    }
    Some(secret)
}

fn jwks_url(text: &str) -> Result<Url, String> {
    let url = urls::parse(text).map_err(|_| "is no URL of a JWK set")?;
    let host = url.host().ok_or("is no URL of a JWK set")?;
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_this_machine(&host) => Ok(url),
        _ => Err("would fetch keys over a line that others can write to".to_owned()),
    }
}

/// An issuer's role, which may be any text, and ours.
fn role(text: &str) -> Result<(String, String), String> {
    let (theirs, ours) = text.rsplit_once('=').ok_or("has no =")?;
    let (theirs, ours) = (theirs.trim(), ours.trim());
    if theirs.is_empty() || !is_role(ours) {
        return Err("does not map a role to one of 1 to 32 letters, digits, _ and -".to_owned());
    }
    Ok((theirs.to_owned(), ours.to_owned()))
}
