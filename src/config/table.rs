//! Owns the settings: names, aliases, kinds with bounds, defaults and what each is for. A setting
//! that is not in a table cannot be read. The keys of hubs and proxies are rows of the same kind,
//! in `feeds::keys`.

pub use super::docs::{env_example, feeds_reference, foreign_reference, readme_table, yaml_example};
use super::kind::{SettingKind, SettingValue};

/// One setting: a variable that config.yaml has as well, a key of a hub or proxy, or a variable
/// that a shipped description asks for.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// A variable's name; its key in config.yaml is the same in lower case. Or the key of a hub or
    /// proxy.
    pub name: &'static str,
    /// Other variables it is read from, in this order, when `name` is not set.
    pub aliases: &'static [&'static str],
    pub kind: SettingKind,
    /// As one would write it; empty: unset.
    pub default: &'static str,
    /// One line, without a full stop.
    pub doc: &'static str,
    /// Never printed, wherever it comes from (A12).
    pub secret: bool,
}

impl Setting {
    /// The value of a setting that is unset.
    pub(super) fn default_value(&self) -> Option<SettingValue> {
        if self.default.is_empty() { None } else { self.kind.parse(self.default).ok() }
    }
}

/// Settings that stand together in the documents.
#[derive(Debug)]
pub struct Section {
    /// Their heading.
    pub title: &'static str,
    /// The key of the map that holds them; empty: they are in no map of their own.
    pub map: &'static str,
    pub settings: &'static [Setting],
}

/// Makes a table. Each setting becomes a constant of its own name, so that the code cannot read one
/// that no table lists.
macro_rules! settings {
    (@name $name:ident) => { stringify!($name) };
    (@name $name:ident $key:literal) => { $key };
    ($(#[$meta:meta])* $vis:vis $list:ident, $sections:ident: $($section:ident $title:literal $(in $map:literal)? {
        $($name:ident $($key:literal)? $(/ $alias:ident)* = $default:literal, $kind:expr, $doc:literal;)+
    })+) => {
        $($(pub(crate) const $name: $crate::config::table::Setting = $crate::config::table::Setting {
            name: $crate::config::table::settings!(@name $name $($key)?),
            aliases: &[$(stringify!($alias)),*],
            kind: $kind,
            default: $default,
            doc: $doc,
            secret: matches!($kind, SettingKind::Secret(_)),
        };)+
        pub(crate) const $section: $crate::config::table::Section = $crate::config::table::Section {
            title: $title,
            map: concat!($($map)?),
            settings: &[$($name),+],
        };)+

        /// Every setting of this table, in the order of the documents.
        $(#[$meta])*
        $vis const $list: &[$crate::config::table::Setting] = &[$($($name),+),+];
        pub(crate) const $sections: &[$crate::config::table::Section] = &[$($section),+];
    };
}
pub(in crate::config) use settings;

const M: u64 = 1024 * 1024;
const DAY: f64 = 86_400.0;

settings! { pub SETTINGS, SECTIONS:
    START "Start" {
        CONFIG_FILE = "", SettingKind::Text("a path"),
            "File of settings; unset: ./config.yaml if it exists. Only read from the environment";
        SHARDS = "0", SettingKind::Count { min: 0, max: 1024 },
            "Threads that rooms live on; 0: one per core";
    }

    LISTENING "Listening" {
        HOST / WEBSOCKET_HOST = "", SettingKind::Text("an IP address or localhost"),
            "Address to listen on; unset: [::], which takes IPv6 and IPv4. --host overrides this";
        PORT = "8080", SettingKind::Port,
            "Port for WebSocket and HTTP; 0: any free one. --port overrides this, WS_PORT and HTTP_PORT";
        WS_PORT = "", SettingKind::Port,
            "Port for WebSocket alone; unset: PORT";
        HTTP_PORT = "", SettingKind::Port,
            "Port for HTTP alone; unset: PORT";
        REQUEST_TIMEOUT_MS = "10000", SettingKind::Millis { min: 10, max: 600_000 },
            "A whole HTTP request head must arrive in this time, and then its body in as much";
    }

    ADMISSION "Admission" {
        ENABLE_WS_PROXY = "true", SettingKind::Flag,
            "false: every upgrade is refused with 503";
        WEBSOCKET_ENABLED = "true", SettingKind::Flag,
            "false: every upgrade is refused with 503";
        ALLOWED_ORIGINS / CORS_ORIGINS = "", SettingKind::List("https://example.com, https://*.example.com or *"),
            "Web pages that may connect; unset: same-origin pages, clients without Origin and, when open, loopback pages";
        MAX_CONNECTIONS_PER_IP = "10", SettingKind::Count { min: 1, max: 1_000_000_000 },
            "Connections that one address may hold";
        MAX_WS_CONNECTIONS = "10000", SettingKind::Count { min: 1, max: 10_000_000 },
            "Connections that the server holds";
        MAX_SOCKETS_PER_IP = "100", SettingKind::Count { min: 1, max: 1_000_000_000 },
            "Sockets of one address that are no connection yet (plain HTTP, handshakes); never below MAX_CONNECTIONS_PER_IP; not counted with CLIENT_IP_HEADER";
        RATE_LIMIT_MAX_REQUESTS = "100", SettingKind::Count { min: 1, max: 1_000_000_000 },
            "Connection attempts that one address may make in RATE_LIMIT_WINDOW_MS";
        RATE_LIMIT_WINDOW_MS = "60000", SettingKind::Millis { min: 10, max: 86_400_000 },
            "The window that attempts are counted in";
        CLIENT_IP_HEADER = "", SettingKind::Text("a header's name or none"),
            "Proxy header that names the client's address; unset: the hosting platform's own, elsewhere the socket's address";
    }

    AUTHENTICATION "Authentication" {
        AUTH = "auto", SettingKind::Choice(&["auto", "off"]),
            "auto: tokens are needed once a key for them is set. off: open on purpose, also on a hosted platform";
        JWT_SECRET = "", SettingKind::Secret("32 bytes or more, e.g. from `openssl rand -hex 32`"),
            "Key that players' tokens are signed with (HS256); without any key for tokens the server is open, for development";
        JWT_JWKS_URL = "", SettingKind::List("https URLs, or http to this machine"),
            "Where issuers publish the keys that they sign tokens with (RS256, ES256, EdDSA); may stand beside JWT_SECRET";
        JWT_PUBLIC_KEY = "", SettingKind::Text("a public key in PEM, or the path of a file with one"),
            "Key of an issuer that publishes none";
        JWT_AUDIENCE = "", SettingKind::Text("any text"),
            "A token's aud must be this";
        JWT_ISSUER = "", SettingKind::Text("any text"),
            "A token's iss must be this";
        JWT_LEEWAY = "30", SettingKind::Seconds { min: 0.0, max: 600.0 },
            "How far an issuer's clock may be off: exp, nbf and iat are taken with so much leeway";
        JWT_ROLE_CLAIM = "role", SettingKind::Text("a claim, or a path such as app_metadata.role"),
            "Where a token has its role";
        JWT_ROLES = "", SettingKind::Pairs("theirs=ours, such as service_role=admin"),
            "What an issuer's roles are here; of others, player, spectator and those that hubs and proxies name are known, the rest is player";
        JWT_PLAYER_CLAIM = "sub", SettingKind::Text("a claim, or a path such as user.id"),
            "Where a token has its player";
        AUTH_TIMEOUT_MS = "10000", SettingKind::Millis { min: 1, max: 600_000 },
            "Time for the auth frame to arrive in";
        HTTP_API_SECRET = "", SettingKind::Secret("32 bytes or more, e.g. from `openssl rand -hex 32`"),
            "What back ends and operators send as bearer token; unset: their API takes JWTs of role admin, or, when open, the key in DATA_DIR/operator.key";
        HUB_TOKEN / VITE_MASSIVE_PROXY_TOKEN = "", SettingKind::Secret("16 bytes or more, e.g. from `openssl rand -hex 16`"),
            "One shared token that opens hubs with the role player; once it is set, hubs are not open";
    }

    CONNECTIONS "Connections" {
        WS_PING_INTERVAL = "30", SettingKind::Seconds { min: 0.01, max: 3600.0 },
            "Time between the server's pings";
        WS_PING_TIMEOUT = "10", SettingKind::Seconds { min: 0.01, max: 3600.0 },
            "Silence after a ping that closes a connection";
        MAX_MESSAGE_BYTES = "65536", SettingKind::Bytes { min: 64, max: 16 * M },
            "Longest message a client may send";
        MESSAGE_RATE = "100", SettingKind::Count { min: 1, max: 1_000_000_000 },
            "Frames per second that one connection may send";
        MESSAGE_BURST = "200", SettingKind::Count { min: 1, max: 1_000_000_000 },
            "Frames that it may send at once";
        BYTE_RATE = "256k", SettingKind::Bytes { min: 1024, max: 1024 * M },
            "Bytes per second that one connection may send, as payload of frames of all kinds";
        BYTE_BURST = "1m", SettingKind::Bytes { min: 1024, max: 1024 * M },
            "Bytes that it may send at once; at least MAX_MESSAGE_BYTES, which it grows with while it is unset";
        OUTBOX_BYTES = "1m", SettingKind::Bytes { min: 1024, max: 256 * M },
            "What may wait for one slow client; past it the client is closed and may resume";
    }

    ROOMS "Rooms" {
        RECONNECT_GRACE = "60", SettingKind::Seconds { min: 0.0, max: DAY },
            "Time that a dropped player's seat is kept";
        ROOM_LINGER = "60", SettingKind::Seconds { min: 0.0, max: 7.0 * DAY },
            "Time that a room without seats is kept";
        HISTORY_EVENTS = "10000", SettingKind::Count { min: 0, max: 10_000_000 },
            "Events that a room keeps for those who resume";
        HISTORY_BYTES = "1048576", SettingKind::Bytes { min: 0, max: 1024 * M },
            "Bytes that those events may take, with all that the server notes of them";
        HISTORY_AGE = "300", SettingKind::Seconds { min: 0.0, max: 7.0 * DAY },
            "Age at which events are forgotten";
        HISTORY_TOTAL_BYTES = "256m", SettingKind::Bytes { min: 0, max: 1024 * 1024 * M },
            "Bytes that the events of all rooms may take together; past it, the rooms that were quiet longest forget first";
        PRESENCE_LIMIT = "500", SettingKind::Count { min: 0, max: 1_000_000 },
            "Seats above which a room sends a count in place of each presence";
        MAX_ROOMS = "100000", SettingKind::Count { min: 1, max: 1_000_000_000 },
            "Rooms at once; past it nobody opens another";
        MAX_ROOMS_PER_ADDRESS = "20", SettingKind::Count { min: 1, max: 1_000_000_000 },
            "Rooms at once that players of one address have opened";
        MAX_STATE_BYTES = "256k", SettingKind::Bytes { min: 64, max: 64 * M },
            "Longest shared state of a room";
        FLUSH_INTERVAL_MS = "0", SettingKind::Millis { min: 0, max: 1000 },
            "Time over which a room collects what goes to one socket; 0: send at once";
        GAME_LOGICS = "tic-tac-toe-=tic-tac-toe,demo-table-=table", SettingKind::Pairs("prefix=logic, or none"),
            "Logic for games whose name begins with prefix, longest first; all others relay";
    }

    FEEDS_AND_PROXIES "Feeds and proxies" {
        HUBS = "options=massive-options,indices=massive-indices", SettingKind::Pairs("name=provider or provider, or none"),
            "Feed hubs, each by a shipped description, such as binance, kraken or bus; config.yaml's hubs adds to them. Only read from the environment";
        MAX_UPSTREAM_CONNECTIONS = "5", SettingKind::Count { min: 1, max: 10_000 },
            "Connections to upstreams that all hubs together may hold";
        UPSTREAM_CA_FILE = "", SettingKind::Text("a path"),
            "PEM file of certificates that are trusted for upstreams besides the public ones";
    }

    DURABILITIES "Durability" {
        DURABILITY = "journal", SettingKind::Choice(&["memory", "journal", "sync"]),
            "What a game survives. memory: nothing. journal: the death of the process. sync: that of the machine too, at a price";
        GAME_DURABILITY = "", SettingKind::Pairs("prefix=memory|journal|sync, or none"),
            "The same for games whose name begins with prefix, longest first";
        DATA_DIR / RAILWAY_VOLUME_MOUNT_PATH = "data", SettingKind::Text("a path"),
            "Directory of the store; on a hosted platform it must be on a volume";
        DATA_DIR_TIMEOUT = "30", SettingKind::Seconds { min: 0.0, max: 3600.0 },
            "Time that a starting server waits for another one to release DATA_DIR, as in a deploy; 0: it does not wait";
    }

    STOPPING "Stopping" {
        DRAIN_TIMEOUT = "10", SettingKind::Seconds { min: 0.0, max: 3600.0 },
            "Time from SIGTERM to exit";
        DRAIN_SPREAD_MS = "5000", SettingKind::Millis { min: 0, max: 600_000 },
            "Window over which clients are told to come back after a restart";
    }

    PUBLIC_ADDRESS "Public address" {
        PUBLIC_URL = "", SettingKind::Text("a domain, or an http, https, ws or wss URL"),
            "Where clients reach this server, for /api/client-config";
        WEBSOCKET_PUBLIC_DOMAIN = "", SettingKind::Text("a domain, or an http, https, ws or wss URL"),
            "The same, when PUBLIC_URL is unset";
        RAILWAY_PUBLIC_DOMAIN = "", SettingKind::Text("a domain, or an http, https, ws or wss URL"),
            "The same, after WEBSOCKET_PUBLIC_DOMAIN; Railway sets it";
        RAILWAY_STATIC_URL = "", SettingKind::Text("a domain, or an http, https, ws or wss URL"),
            "The same, after RAILWAY_PUBLIC_DOMAIN; Railway sets it";
    }

    OBSERVATION "Observation" {
        LOG_FORMAT = "auto", SettingKind::Choice(&["auto", "text", "json"]),
            "auto: text on a terminal, JSON elsewhere";
        LOG_LEVEL = "info", SettingKind::Choice(&["debug", "info", "warn", "error"]),
            "Least level that is logged";
        LOG_HEARTBEAT_INTERVAL = "30", SettingKind::Seconds { min: 0.01, max: DAY },
            "Time between [HEARTBEAT] lines";
        SENTRY_DSN = "", SettingKind::Secret("https://KEY@HOST/PROJECT"),
            "Where errors are reported; unset: nowhere";
    }
}
