//! Owns which proxies spend a credential of the server's: they are off while clients are not
//! authenticated (X5).

use actix_web::http::Uri;

use super::{EndpointConfig, ProxyConfig, expand::is_before_path};
use crate::config::auth::{AuthConfig, AuthMode};

/// A header or parameter whose name has one of these is a credential, wherever its value comes
/// from.
const WORDS: [&str; 8] = ["auth", "key", "token", "secret", "password", "cookie", "credential", "signature"];

/// Returns true if a URL in a description has a variable behind its host.
pub(super) fn is_in_url(template: &str) -> bool {
    template.match_indices("${").any(|(at, _)| !is_before_path(&template[..at]))
}

/// Returns true if the name of a header or parameter shows that it is a credential.
pub(super) fn is_named(endpoint: &EndpointConfig, defaults: &[(String, String)]) -> bool {
    let is_credential = |name: &str| {
        let name = name.to_ascii_lowercase();
        WORDS.iter().any(|word| name.contains(word))
    };
    let url: Option<Uri> = endpoint.url.expose().parse().ok();
    let query = url.as_ref().and_then(Uri::query).unwrap_or_default();
    endpoint.headers.iter().any(|(name, _)| is_credential(name))
        || defaults.iter().any(|(name, _)| is_credential(name))
        || form_urlencoded::parse(query.as_bytes()).any(|(name, _)| is_credential(&name))
}

/// Switches off proxies whose credential a client without a token could spend.
pub(in crate::config) fn lock(proxies: &mut [ProxyConfig], auth: &AuthConfig, is_open_on_purpose: bool) {
    if !matches!(auth.mode, AuthMode::Open) || is_open_on_purpose {
        return;
    }
    for proxy in proxies.iter_mut().filter(|proxy| proxy.spends_credential && proxy.off.is_none()) {
        let why = "this proxy spends a credential of the server's, and without tokens anybody could use it: \
                   set JWT_SECRET, or AUTH=off to let everybody";
        proxy.off = Some(why.to_owned());
    }
}
