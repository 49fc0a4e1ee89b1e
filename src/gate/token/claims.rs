//! Owns the claims of a token: which are read, from which path, and what role they give (A11,
//! A11c).

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
    /// The claims that the settings name.
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
    pub fn any(&self, accepts: impl Fn(&str) -> bool) -> bool {
        match self {
            Self::One(value) => accepts(value),
            Self::Many(values) => values.iter().any(|value| accepts(value)),
        }
    }

    pub fn admits(&self, name: &str) -> bool {
        self.any(|admitted| admitted == "*" || admitted == name)
    }
}

/// What a token's role claim gives here.
pub(super) struct Roles {
    claim: String,
    /// `JWT_ROLES`.
    mapped: HashMap<String, String>,
    /// Besides `player`, `spectator` and `admin`: those that a hub's or proxy's description names.
    known: HashSet<String>,
}

impl Roles {
    pub fn new(claim: &str, mapped: &[(String, String)], known: HashSet<String>) -> Self {
        Self { claim: claim.to_owned(), mapped: mapped.iter().cloned().collect(), known }
    }

    /// The role of these claims. The bare word `admin` counts only where the server's own secret signed it.
    pub fn of(&self, claims: &Claims, is_own: bool) -> Result<&str, TokenError> {
        let role = match at(&claims.others, &self.claim) {
            None | Some(Value::Null) => return Ok("player"),
            Some(Value::String(role)) => role,
            // Issuers that have lists of roles: the first that the settings map, or that is known.
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

    /// A role that nobody has to map; `admin` is none of these.
    fn known(&self, role: &str) -> Option<&str> {
        match role {
            "spectator" => Some("spectator"),
            "admin" => None,
            _ => self.known.get(role).filter(|role| is_role(role)).map(String::as_str),
        }
    }
}

/// The value at a path: the claim of that very name, which may be an URL, or else of the names between the dots.
pub(super) fn at<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    claims.get(path).or_else(|| {
        let (first, rest) = path.split_once('.')?;
        at(claims.get(first)?.as_object()?, rest)
    })
}
