//! Owns the reading of one proxy: which clients may use it, what they may send, and how much.

use std::time::Duration;

use super::{
    Budget, EndpointConfig, ProxyConfig, credential, endpoint,
    expand::TextContext,
    fields::{At, DescriptionScope, FieldReader, MapEntry, is_empty, texts},
    hub::checked_role,
    keys, off,
};
use crate::config::Secret;

/// `None` when there is a problem.
pub(super) fn proxy(id: String, mut fields: FieldReader, scope: &mut DescriptionScope<'_>) -> Option<ProxyConfig> {
    // The caller has already read it to choose the description.
    fields.take(&keys::PROXY_PROVIDER);
    if !fields.is_set(&keys::URL) {
        scope.report(&fields.at.clone(), "has no url");
    }
    let max_client_message_bytes = fields.get(&keys::MAX_CLIENT_MESSAGE_BYTES, scope);
    scope.has_credential = false;
    let endpoint = endpoint::endpoint(&mut fields, &keys::PROXY_MAX_MESSAGE_BYTES, max_client_message_bytes, scope);
    let (query, query_defaults) = query(&mut fields, scope);
    let has_variable = scope.has_credential;
    let query_instead = query_instead(&mut fields, scope);
    let roles = roles(&mut fields, scope);
    let allowed_types = fields.texts(&keys::ALLOWED_TYPES, TextContext::Plain, scope).map(|(_, types)| types);
    // Many upstreams read the same JSON from a binary frame, whose type is not checked here.
    let may_default = allowed_types.is_none() || fields.is_set(&keys::BINARY);
    let binary = fields.get(&keys::BINARY, scope) && may_default;
    let error_frames = fields.get(&keys::ERROR_FRAMES, scope);
    let budget = budget(&mut fields, scope);
    let resume = fields.get(&keys::RESUME_MS, scope);
    let resume_bytes = fields.get(&keys::RESUME_BYTES, scope);
    fields.finish(scope);
    let off = off(&scope.missing, "proxy");
    // A proxy that is off never connects.
    let endpoint = match endpoint {
        Some(endpoint) if off.is_none() => endpoint,
        None if off.is_none() => return None,
        _ => nowhere(),
    };
    let spends_credential = has_variable || credential::is_named(&endpoint, &query_defaults);
    Some(ProxyConfig {
        id,
        off,
        endpoint,
        spends_credential,
        query,
        query_defaults,
        query_instead,
        roles,
        allowed_types,
        binary,
        max_client_message_bytes,
        error_frames,
        budget,
        resume,
        resume_bytes,
    })
}

fn nowhere() -> EndpointConfig {
    EndpointConfig {
        url: Secret::new(""),
        host: String::new(),
        headers: Vec::new(),
        connect_timeout: Duration::ZERO,
        max_message_bytes: 0,
        allow_insecure: false,
        max_sent_bytes: 0,
    }
}

fn query(fields: &mut FieldReader, scope: &mut DescriptionScope<'_>) -> (Vec<String>, Vec<(String, String)>) {
    let query = match fields.texts(&keys::QUERY, TextContext::Plain, scope) {
        Some((at, names)) => {
            // The server uses these itself, to authenticate a client and to resume its session.
            for own in ["token", "session", "seq"] {
                if names.iter().any(|name| name == own) {
                    scope.report(&at, &format!("has {own}, which this server takes for itself"));
                }
            }
            names
        }
        None => Vec::new(),
    };
    let mut defaults = Vec::new();
    for (at, name, value) in fields.pairs(&keys::QUERY_DEFAULTS, scope) {
        // While a variable is missing, the names in query are not complete.
        if query.contains(&name) || !scope.missing.is_empty() {
            defaults.push((name, value));
        } else {
            scope.report(&at, "has a name that query does not have");
        }
    }
    (query, defaults)
}

/// The names need not be in `query`: a description that changes that keeps the rest of the shipped
/// one.
fn query_instead(fields: &mut FieldReader, scope: &mut DescriptionScope<'_>) -> Vec<(String, Vec<String>)> {
    let entries = fields.entries(&keys::QUERY_INSTEAD, scope).into_iter();
    let rule = |(at, entry): (At, MapEntry)| {
        Some((entry.key, texts(&at, &keys::QUERY_INSTEAD, entry.node, TextContext::Plain, scope)?))
    };
    entries.filter_map(rule).collect()
}

fn roles(fields: &mut FieldReader, scope: &mut DescriptionScope<'_>) -> Vec<String> {
    let Some((at, node)) = fields.take(&keys::ROLES) else { return vec![keys::ROLES.default.to_owned()] };
    if is_empty(&node) {
        scope.report(&at, "is empty; leave it out for the default");
    }
    let roles = texts(&at, &keys::ROLES, node, TextContext::Plain, scope).unwrap_or_default();
    roles.into_iter().filter(|role| checked_role(&at, role, scope)).collect()
}

fn budget(fields: &mut FieldReader, scope: &mut DescriptionScope<'_>) -> Budget {
    let at = fields.at.below(keys::BUDGET_MAP.name, None);
    let mut map = fields.map(&keys::BUDGET_MAP, scope).unwrap_or_else(|| FieldReader::new(at, Vec::new(), scope));
    let bound = |number: u64| Some(number).filter(|number| *number > 0);
    let budget = Budget {
        session: Some(map.get(&keys::SESSION_S, scope)).filter(|time: &Duration| !time.is_zero()),
        bytes: bound(map.get(&keys::BYTES, scope)),
        messages: bound(map.get(&keys::MESSAGES, scope)),
        sessions_per_player: map.get(&keys::SESSIONS_PER_PLAYER, scope),
        sessions: map.get(&keys::SESSIONS, scope),
    };
    map.finish(scope);
    budget
}
