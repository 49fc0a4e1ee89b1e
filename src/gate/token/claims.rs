//! Owns the claims of a token: which are read, by which path, and which role they give (A11, A11c).

use std::collections::{HashMap, HashSet};

use serde::Deserialize;
use serde_json::{Map, Number, Value};

use super::TokenError;
use crate::config::feeds::is_role;

#[derive(Deserialize)]
pub(super) struct Claims {
    pub exp: Option<Number>,
    pub nbf: Option<Number>,
    pub iat: Option<Number>,
    pub aud: Option<OneOrMany>,
    pub iss: Option<String>,
    pub game: Option<OneOrMany>,
    pub hub: Option<OneOrMany>,
    pub proxy: Option<OneOrMany>,
    /// All other claims, among them those that the settings name.
    #[serde(flatten)]
    pub others: Map<String, Value>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    pub(super) fn any(&self, accepts: impl Fn(&str) -> bool) -> bool {
        match self {
            Self::One(value) => accepts(value),
            Self::Many(values) => values.iter().any(|value| accepts(value)),
        }
    }

    pub(super) fn admits(&self, name: &str) -> bool {
        self.any(|admitted| admitted == "*" || admitted == name)
    }
}

/// Maps a token's role claim to a role of the server.
pub(super) struct Roles {
    claim: String,
    /// The map of `JWT_ROLES`.
    mapped: HashMap<String, String>,
    /// The roles that the descriptions of hubs and proxies name, besides `player`, `spectator` and
    /// `admin`.
    known: HashSet<String>,
}

impl Roles {
    pub(super) fn new(claim: &str, mapped: &[(String, String)], known: HashSet<String>) -> Self {
        Self { claim: claim.to_owned(), mapped: mapped.iter().cloned().collect(), known }
    }

    /// Returns the role of these claims. An unmapped `admin` counts only if the server's own secret
    /// signed it.
    pub(super) fn of(&self, claims: &Claims, is_own: bool) -> Result<&str, TokenError> {
        let role = match at(&claims.others, &self.claim) {
            None | Some(Value::Null) => return Ok("player"),
            Some(Value::String(role)) => role,
            // Some issuers list roles: the first one that is mapped counts, else the first that is
            // known.
            Some(Value::Array(roles)) => {
                let roles = || roles.iter().filter_map(Value::as_str);
                let mapped = || roles().find_map(|role| self.mapped.get(role));
                let known = || roles().find_map(|role| self.known(role));
                return Ok(mapped().map(String::as_str).or_else(known).unwrap_or("player"));
            }
            Some(_) => return Err(TokenError::BadRole),
        };
        Ok(match (self.mapped.get(role), role.as_str()) {
            (Some(mapped), _) => mapped,
            (None, "admin") if is_own => "admin",
            (None, role) => self.known(role).unwrap_or("player"),
        })
    }

    /// Returns a role that is valid without a mapping. `admin` is not one.
    fn known(&self, role: &str) -> Option<&str> {
        match role {
            "spectator" => Some("spectator"),
            "admin" => None,
            _ => self.known.get(role).filter(|role| is_role(role)).map(String::as_str),
        }
    }
}

/// Returns the value at a path: the claim of exactly this name, which may be a URL, else the path's
/// parts between dots.
pub(super) fn at<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    claims.get(path).or_else(|| {
        let (first, rest) = path.split_once('.')?;
        at(claims.get(first)?.as_object()?, rest)
    })
}
