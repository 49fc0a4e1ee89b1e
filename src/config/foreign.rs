//! Owns the names that other servers use for settings, as variables and as keys of config.yaml, and
//! the setting to use instead. docs/migrate.md has the same list.

use super::{
    feeds::{self, suggestion},
    problem::{Problems, shown},
    table::{SETTINGS, Setting},
    yaml::YamlNode,
};

const PORTS: &str = "one PORT serves WebSocket and HTTP; WS_PORT and HTTP_PORT split them";
const TLS: &str = "TLS ends at the proxy in front of this server; PORT takes plain HTTP and WebSocket";
const NO_DATABASE: &str = "there is no PostgreSQL here: rooms and event buses are kept in files below DATA_DIR";
const NO_REDIS: &str = "there is no Redis here: rooms live in one instance, and are kept in files below DATA_DIR";
const BUS: &str = "an event bus is a hub; write `hubs: { events: bus }`, or HUBS=events=bus in the environment";
const STATE: &str = "every room has a shared state; MAX_STATE_BYTES bounds it, and nothing switches it on";
const ALWAYS: &str = "it is always on";

/// Variables, and what to set in their place.
pub(super) const VARIABLES: &[(&str, &str)] = &[
    ("DATABASE_URL", NO_DATABASE),
    ("POSTGRES_URL", NO_DATABASE),
    ("POSTGRESQL_URL", NO_DATABASE),
    ("DB_URL", NO_DATABASE),
    ("DATABASE_HOST", NO_DATABASE),
    ("REDIS_URL", NO_REDIS),
    ("REDIS_HOST", NO_REDIS),
    ("REDIS_URI", NO_REDIS),
    ("WEBSOCKET_PORT", PORTS),
    ("SERVER_PORT", PORTS),
    ("LISTEN_PORT", PORTS),
    ("HTTPS_PORT", TLS),
    ("WSS_PORT", TLS),
    ("SSL_CERT_PATH", TLS),
    ("SSL_KEY_PATH", TLS),
    ("WEBSOCKET_PATH", "paths are fixed: /ws/{game}/{player}, /ws/{hub}, /proxy/{name}"),
    ("JWT_SECRET_KEY", "set JWT_SECRET"),
    ("JWT_ALGORITHM", "the keys that are set decide: JWT_SECRET takes HMAC"),
    ("API_SECRET", "set HTTP_API_SECRET"),
    ("PUBLISH_SECRET", "set HTTP_API_SECRET"),
    ("HTTP_PUBLISH_SECRET", "set HTTP_API_SECRET"),
    ("PUSH_SECRET", "set HTTP_API_SECRET"),
    ("CORS_ALLOWED_ORIGINS", "set ALLOWED_ORIGINS"),
    ("ALLOWED_HOSTS", "set ALLOWED_ORIGINS, which takes origins such as https://example.com"),
    ("TRUST_PROXY", "set CLIENT_IP_HEADER to the header that the proxy writes"),
    ("TRUSTED_PROXIES", "set CLIENT_IP_HEADER to the header that the proxy writes"),
    ("MAX_CONNECTIONS", "set MAX_WS_CONNECTIONS"),
    ("WS_MAX_CONNECTIONS", "set MAX_WS_CONNECTIONS"),
    ("WEBSOCKET_MAX_CONNECTIONS", "set MAX_WS_CONNECTIONS"),
    ("WEBSOCKET_URL", "set PUBLIC_URL"),
    ("MAX_CLIENTS", "set MAX_WS_CONNECTIONS"),
    ("MAX_PAYLOAD", "set MAX_MESSAGE_BYTES"),
    ("MAX_MESSAGE_SIZE", "set MAX_MESSAGE_BYTES"),
    ("PING_INTERVAL", "set WS_PING_INTERVAL"),
    ("PING_TIMEOUT", "set WS_PING_TIMEOUT"),
    ("HEARTBEAT_INTERVAL", "set WS_PING_INTERVAL"),
    ("HEARTBEAT_TIMEOUT", "set WS_PING_TIMEOUT"),
    ("RECONNECT_TIMEOUT", "set RECONNECT_GRACE"),
    ("POLYGON_API_KEY", "set MASSIVE_API_KEY: Polygon.io is called Massive now"),
    ("POLYGON_WS_URL", "set MASSIVE_WS_URL: Polygon.io is called Massive now"),
    ("MASSIVE_KEY", "set MASSIVE_API_KEY"),
    ("OPENAI_KEY", "set OPENAI_API_KEY"),
    ("ALPACA_SECRET_KEY", "set ALPACA_API_SECRET"),
    ("ALPACA_API_SECRET_KEY", "set ALPACA_API_SECRET"),
    ("APCA_API_KEY_ID", "set ALPACA_API_KEY"),
    ("APCA_API_SECRET_KEY", "set ALPACA_API_SECRET"),
    ("EVENT_BUS_ENABLED", BUS),
];

/// Keys of config.yaml, nested ones with dots, and what to write in their place. `*` at the end
/// stands for every key below it. The first match counts.
pub(super) const KEYS: &[(&str, &str)] = &[
    ("event_bus.*", BUS),
    ("eventbus.*", BUS),
    ("event_bus", BUS),
    ("state.*", STATE),
    ("redis.*", NO_REDIS),
    ("redis", NO_REDIS),
    ("database.*", NO_DATABASE),
    ("postgres.*", NO_DATABASE),
    ("postgresql.*", NO_DATABASE),
    ("database", NO_DATABASE),
    ("tls.*", TLS),
    ("ssl.*", TLS),
    ("websocket.port", "write port, or ws_port to split WebSocket from HTTP"),
    ("websocket.path", "paths are fixed: /ws/{game}/{player}, /ws/{hub}, /proxy/{name}"),
    ("websocket.max_connections", "write max_ws_connections"),
    ("websocket.max_clients", "write max_ws_connections"),
    ("websocket.max_payload", "write max_message_bytes"),
    ("websocket.max_message_size", "write max_message_bytes"),
    ("websocket.heartbeat_interval", "write ws_ping_interval"),
    ("websocket.heartbeat_timeout", "write ws_ping_timeout"),
    ("heartbeat.interval", "write ws_ping_interval"),
    ("heartbeat.timeout", "write ws_ping_timeout"),
    ("auth.enabled", "tokens are needed once jwt_secret is set"),
    ("auth.required", "tokens are needed once jwt_secret is set"),
    ("auth.secret", "write jwt_secret"),
    ("jwt.algorithm", "the keys that are set decide: jwt_secret takes HMAC"),
    ("api.secret", "write http_api_secret"),
    ("api.key", "write http_api_secret"),
    ("publish.secret", "write http_api_secret"),
    ("push.secret", "write http_api_secret"),
    ("http.secret", "write http_api_secret"),
    ("rate_limit.requests", "write rate_limit_max_requests"),
    ("rate_limit.max", "write rate_limit_max_requests"),
    ("rate_limit.enabled", ALWAYS),
    ("cors.allowed_origins", "write allowed_origins"),
    ("cors.enabled", "allowed_origins is the one list for WebSocket and CORS"),
    ("massive.api_key", "MASSIVE_API_KEY is read from the environment"),
    ("polygon.api_key", "MASSIVE_API_KEY is read from the environment"),
    ("openai.api_key", "OPENAI_API_KEY is read from the environment"),
    ("metrics.*", "/metrics is always there"),
    ("health.*", "/health is always there"),
    ("storage.path", "write data_dir"),
    ("storage.dir", "write data_dir"),
    ("persistence.path", "write data_dir"),
    ("feeds.*", "a feed is a hub; docs/feeds.md has the keys of `hubs`"),
    ("upstreams.*", "a feed is a hub; docs/feeds.md has the keys of `hubs`"),
];

/// Maps that only group settings: `server.port` is `port`.
const GROUPS: &[&str] = &["server", "app", "http", "websocket", "ws", "gateway", "security", "limits", "innkeeper"];

/// The first parts of nested keys, and the prefix of this server's names for them.
const PREFIXES: &[(&str, &str)] =
    &[("websocket", "ws"), ("logging", "log"), ("ratelimit", "rate_limit"), ("auth", "jwt")];

/// At most this many keys of one map are reported; a file for another server would fill the screen.
const MAX_REPORTED: usize = 20;

/// Returns what to set instead of a variable, whose name is in upper case.
pub(super) fn variable(name: &str) -> Option<&'static str> {
    VARIABLES.iter().find(|(known, _)| *known == name).map(|(_, instead)| *instead)
}

/// Reports a key of config.yaml that is not a setting. If something below it is recognised, each
/// key there is reported.
pub(super) fn report_foreign(key: &str, line: usize, node: &YamlNode, file: &str, problems: &mut Problems) {
    let mut leaves = Vec::new();
    collect(key.to_owned(), line, node, &mut leaves);
    if leaves.iter().all(|(path, _)| instead_of(path).is_none()) {
        let near = suggestion(&snake(key), known().iter().map(String::as_str));
        problems.add(file, format!("line {line}: unknown setting {}{near}", shown(key)));
        return;
    }
    for (path, line) in leaves.iter().take(MAX_REPORTED) {
        let instead = instead_of(path).map(|instead| format!("; {instead}")).unwrap_or_default();
        problems.add(file, format!("line {line}: unknown setting {}{instead}", shown(path)));
    }
    if leaves.len() > MAX_REPORTED {
        problems.add(file, format!("line {line}: {} more unknown settings below {key}", leaves.len() - MAX_REPORTED));
    }
}

/// Returns the setting that a key of a map means where a setting takes a text: `auth.secret` is
/// `jwt_secret`. A key that is not recognised is not shown: it may be a secret in braces.
pub(super) fn meant(key: &str, node: &YamlNode) -> Option<String> {
    let mut leaves = Vec::new();
    collect(key.to_owned(), 0, node, &mut leaves);
    leaves.iter().find_map(|(path, _)| Some(format!("for {path} {}", instead_of(path)?)))
}

fn collect(path: String, line: usize, node: &YamlNode, leaves: &mut Vec<(String, usize)>) {
    match node {
        YamlNode::Map(entries) if !entries.is_empty() => {
            for (key, line, node) in entries {
                collect(format!("{path}.{key}"), *line, node, leaves);
            }
        }
        _ => leaves.push((path, line)),
    }
}

fn instead_of(path: &str) -> Option<String> {
    let plain = snake(path);
    let listed = |(known, _): &&(&str, &str)| match known.strip_suffix('*') {
        Some(group) => plain.starts_with(group),
        None => *known == plain,
    };
    if let Some((_, instead)) = KEYS.iter().find(listed) {
        return Some((*instead).to_owned());
    }
    let upper = plain.replace('.', "_").to_ascii_uppercase();
    if feeds::VARIABLES.iter().any(|variable| variable.name == upper) {
        return Some(format!("{upper} is only read from the environment"));
    }
    let Some((group, rest)) = plain.split_once('.') else { return variable(&upper).map(str::to_owned) };
    let rest = rest.replace('.', "_");
    let prefixed = PREFIXES.iter().filter(|(theirs, _)| *theirs == group).map(|(_, ours)| format!("{ours}_{rest}"));
    let bare = GROUPS.contains(&group).then(|| rest.clone());
    let meant = std::iter::once(format!("{group}_{rest}")).chain(prefixed).chain(bare);
    let keys = known();
    let meant = meant.into_iter().find(|meant| keys.contains(meant));
    meant.map(|meant| format!("settings are not nested: write {meant}")).or_else(|| variable(&upper).map(str::to_owned))
}

/// `maxConnectionsPerIp` and `max-connections-per-ip` as `max_connections_per_ip`.
fn snake(path: &str) -> String {
    let mut plain = String::with_capacity(path.len() + 4);
    let mut after_lower = false;
    for c in path.chars() {
        if c.is_ascii_uppercase() && after_lower {
            plain.push('_');
        }
        after_lower = c.is_ascii_lowercase() || c.is_ascii_digit();
        plain.push(if c == '-' || c == ' ' { '_' } else { c.to_ascii_lowercase() });
    }
    plain
}

/// Every key that config.yaml takes, aliases included.
fn known() -> Vec<String> {
    let settings = SETTINGS.iter().filter(|setting| setting.is_in_file());
    let aliases = settings.clone().flat_map(|setting| setting.aliases.iter().map(|alias| alias.to_ascii_lowercase()));
    let maps = [super::file::HUBS, super::file::PROXIES].map(str::to_owned);
    settings.clone().map(Setting::file_key).chain(aliases).chain(maps).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reported(yaml: &str) -> String {
        let mut problems = Problems::default();
        crate::config::file::settings(yaml, &mut problems);
        problems.to_string()
    }

    #[test]
    fn a_nested_key_of_another_server_is_told_with_the_key_that_is_meant() {
        for (yaml, told) in [
            (
                "websocket:\n  enabled: true",
                "line 2: unknown setting \"websocket.enabled\"; settings are not nested: write websocket_enabled",
            ),
            ("websocket: {port: 1}", "\"websocket.port\"; write port"),
            ("websocket: {ping_interval: 1}", "write ws_ping_interval"),
            ("websocket: {pingTimeout: 1}", "write ws_ping_timeout"),
            ("websocket: {max_connections: 1}", "write max_ws_connections"),
            ("event_bus:\n  enabled: true", "\"event_bus.enabled\"; an event bus is a hub"),
            ("event_bus: {history: {size: 5}}", "\"event_bus.history.size\"; an event bus is a hub"),
            ("server: {port: 1}", "write port"),
            ("server: {max-connections-per-ip: 1}", "write max_connections_per_ip"),
            ("redis: {url: x}", "\"redis.url\"; there is no Redis here"),
            ("database: {url: x}", "DATA_DIR"),
            ("jwt: {secret: x}", "write jwt_secret"),
            ("auth: {secret: x}", "AUTH: cannot be a map, for auth.secret write jwt_secret; allowed"),
            ("logging: {level: x}", "write log_level"),
            ("rate_limit: {max_requests: 1, window_ms: 1}", "write rate_limit_window_ms"),
            ("cors: {origins: x}", "write cors_origins"),
            ("history: {events: 1}", "write history_events"),
            ("massive_api_key: x", "MASSIVE_API_KEY is only read from the environment"),
            ("websocket_port: 1", "WS_PORT and HTTP_PORT"),
            ("allowedOrigins: x", "did you mean allowed_origins?"),
        ] {
            let reported = reported(yaml);
            assert!(reported.contains(told), "{yaml}: {reported}");
        }
    }

    #[test]
    fn every_key_of_a_map_is_told_up_to_a_bound() {
        let yaml: String = (0..30).map(|n| format!("  key{n}: 1\n")).collect();
        let reported = reported(&format!("redis:\n{yaml}"));
        assert_eq!(reported.lines().count(), MAX_REPORTED + 1, "{reported}");
        assert!(reported.ends_with("line 1: 10 more unknown settings below redis"), "{reported}");
    }

    #[test]
    fn what_is_told_to_write_is_a_key() {
        let keys = known();
        for (_, instead) in KEYS {
            if let Some(key) = instead.strip_prefix("write ") {
                assert!(keys.contains(&key.split(',').next().unwrap().to_owned()), "{key}");
            }
        }
        for (_, instead) in VARIABLES {
            if let Some(rest) = instead.strip_prefix("set ") {
                let name = rest.split([' ', ':', ',']).next().unwrap();
                let is_variable = feeds::VARIABLES.iter().any(|variable| variable.name == name);
                assert!(is_variable || SETTINGS.iter().any(|setting| setting.name == name), "{name}");
            }
        }
    }
}
