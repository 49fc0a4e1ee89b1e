//! Owns the table of keys that hubs and proxies are described by in YAML: names, kinds with bounds,
//! defaults, meanings. A key that is not here cannot be read.

use crate::config::{kind::SettingKind, table::settings};

const M: u64 = 1024 * 1024;
const DAY: u64 = 86_400_000;
const FRAME: SettingKind = SettingKind::Text("the text of a frame");
const POINTER: SettingKind = SettingKind::Text("a pointer such as /sym or ^/channel");
const MATCHERS: SettingKind = SettingKind::Text("a matcher or a list of them");

settings! { #[cfg(test)] pub(crate) KEYS, GROUPS:
    HUB "Every hub" {
        PROVIDER "provider" = "", SettingKind::Text("a shipped description's name, bus or custom"),
            "What to start from; the other keys replace those of the description one by one. Unset: what HUBS says of this name, else custom with a url and bus without";
        TOPICS "topics" = "*", SettingKind::Text("a list of patterns, or a map from roles to such lists"),
            "Who may subscribe to what. In a pattern `*` is any text; as a role, everyone who is not listed";
        PUBLISH "publish" = "", SettingKind::Text("a list of roles"),
            "Who may publish from a connection; only without a url";
        MAX_TOPICS "max_topics" = "1000", SettingKind::Count { min: 1, max: 1_000_000 },
            "Different topics of all subscribers together";
        MAX_TOPICS_PER_CLIENT "max_topics_per_client" = "", SettingKind::Count { min: 1, max: 100_000 },
            "Topics that one subscriber may have: at most a tenth of max_topics, or 10 if that is more. Unset: that many";
        MAX_TOPICS_PER_ADDRESS "max_topics_per_address" = "", SettingKind::Count { min: 1, max: 1_000_000 },
            "The same for all subscribers of one address (an IPv6 /64): at most max_topics. Unset: max_topics_per_client × MAX_CONNECTIONS_PER_IP / 2";
        LINGER_MS "linger_ms" = "1000", SettingKind::Millis { min: 0, max: 3_600_000 },
            "Time from a topic's last subscriber to the unsubscription, and from the last client to the closing of the connection";
        FLUSH_INTERVAL_MS "flush_interval_ms" = "20", SettingKind::Millis { min: 0, max: 10_000 },
            "Time over which updates are collected once one has gone out; 0: each goes at once";
    }

    ENDPOINT "Where to connect: hubs with an upstream, and proxies" {
        URL "url" = "", SettingKind::Text("wss://host/path, or ws:// to localhost, 127.0.0.0/8 or [::1]"),
            "The upstream";
        HEADERS "headers" = "", SettingKind::Text("a map from names to texts"),
            "Headers of the handshake";
        ALLOW_INSECURE "allow_insecure" = "false", SettingKind::Flag,
            "Whether ws:// may go to another machine of a private network: a name, or an address of RFC 1918, that leads nowhere else";
        CONNECT_TIMEOUT_MS "connect_timeout_ms" = "10000", SettingKind::Millis { min: 10, max: 600_000 },
            "For resolving the name, connecting, TLS and the handshake together";
    }

    FEED "Hubs with an upstream" {
        HUB_MAX_MESSAGE_BYTES "max_message_bytes" = "1m", SettingKind::Bytes { min: 1024, max: 64 * M },
            "Longest message that is taken from the upstream";
        READY "ready" = "", MATCHERS,
            "What the upstream says first; unset: it is ready once the connection is open";
        ON_OPEN "on_open" = "", SettingKind::Text("the text of a frame, or a list of them"),
            "What is sent as soon as the upstream is ready";
        AUTH_MAP "auth" = "", SettingKind::Text("a map"),
            "How one proves who one is";
        SUBSCRIBE "subscribe" = "", SettingKind::Text("the text of a frame with places for topics"),
            "How topics are subscribed";
        UNSUBSCRIBE "unsubscribe" = "", SettingKind::Text("the text of a frame with places for topics"),
            "How topics are unsubscribed";
        BATCH "batch" = "100", SettingKind::Count { min: 1, max: 10_000 },
            "Topics in one such frame";
        MESSAGES_PER_SECOND "messages_per_second" = "10", SettingKind::Decimal { min: 0.01, max: 10_000.0 },
            "Such frames a second";
        ITEMS "items" = "", SettingKind::Text("a pointer such as /data"),
            "What of a frame holds the items: each element of an array is one, anything else is one. Unset: the frame";
        DATA "data" = "", SettingKind::Text("a pointer such as /data"),
            "What of an item subscribers get; unset: all of it";
        TOPIC_MAP "topic" = "", SettingKind::Text("a map"),
            "How an item says which topic it is of. Needed";
        REJECTED_MAP "rejected" = "", SettingKind::Text("a map"),
            "How the upstream says no to a topic; unset: its subscribers wait in vain";
        IGNORE "ignore" = "", MATCHERS,
            "Items that say nothing to subscribers. What has no topic is passed over anyhow";
        HEARTBEAT_MAP "heartbeat" = "", SettingKind::Text("a map"),
            "How a dead connection is found out; unset: it is not looked for";
        FATAL "fatal" = "", MATCHERS,
            "What means that trying again soon is of no use";
        FATAL_RETRY_MS "fatal_retry_ms" = "300000", SettingKind::Millis { min: 10, max: DAY },
            "Time until the next attempt after that";
        COOL_DOWN_MAP "cool_down" = "", SettingKind::Text("a map"),
            "What means that there are too many connections";
        BACKOFF_MAP "backoff" = "", SettingKind::Text("a map"),
            "How long to wait before connecting again";
        MAX_AGE_MS "max_age_ms" = "", SettingKind::Millis { min: 10, max: 365 * DAY },
            "Age at which the connection is replaced; unset: never";
        STALE_AFTER_MS "stale_after_ms" = "5000", SettingKind::Millis { min: 10, max: DAY },
            "Silence, while topics are subscribed, after which the feed is stale";
        RECONNECT_AFTER_MS "reconnect_after_ms" = "", SettingKind::Millis { min: 10, max: DAY },
            "Silence, while topics are subscribed, after which the connection is replaced; doubled, up to an hour, while new connections are silent as well. Unset: never";
    }

    AUTH "auth" in "auth" {
        AUTH_SEND "send" = "", FRAME,
            "What is sent. Needed";
        AUTH_SUCCESS "success" = "", MATCHERS,
            "What means yes; unset: there is no answer";
        AUTH_FAILURE "failure" = "", MATCHERS,
            "What means no, which is fatal";
        AUTH_TIMEOUT_MS "timeout_ms" = "10000", SettingKind::Millis { min: 10, max: 600_000 },
            "For the answer";
    }

    TOPIC "topic" in "topic" {
        PARTS "parts" = "", SettingKind::Text("a list of pointers such as /sym or ^/channel"),
            "What the topic's name is made of. Needed";
        SEPARATOR "separator" = ".", SettingKind::Text("any text"),
            "What stands between the parts, and divides a topic into {channel} and {name}";
        OVERRIDES "overrides" = "", SettingKind::Text("a map from texts to lists of pointers"),
            "By what the first part says: other parts in place of those above";
        NAMES "names" = "", SettingKind::Text("a map from texts to texts"),
            "By what the first part says: what it is called in topics";
    }

    REJECTED "rejected" in "rejected" {
        REJECTED_WHEN "when" = "", MATCHERS,
            "What means it, and says which topic. Needed with one of the next three";
        REJECTED_ID "id" = "", POINTER,
            "Where the {id} of the frame stands that asked for the topic: all topics of that frame, unless topic or name says which";
        REJECTED_TOPIC "topic" = "", POINTER,
            "Where the topic stands, alone or at the end of a sentence";
        REJECTED_NAME "name" = "", POINTER,
            "The same for the {name} of the topic, where its channel is not told";
        UNNAMED "unnamed" = "", MATCHERS,
            "What means it and says no topic: the oldest frame is meant that is not answered yet, or without accepted the newest of whose topics nothing has come";
        ACCEPTED "accepted" = "", MATCHERS,
            "What answers a frame that subscribes or unsubscribes with yes, one for each";
    }

    HEARTBEAT "heartbeat" in "heartbeat" {
        INTERVAL_MS "interval_ms" = "30000", SettingKind::Millis { min: 10, max: 3_600_000 },
            "Time between heartbeats";
        TIMEOUT_MS "timeout_ms" = "10000", SettingKind::Millis { min: 10, max: 3_600_000 },
            "Time after one in which something must come";
        HEARTBEAT_SEND "send" = "", FRAME,
            "What is sent; unset: a WebSocket ping";
        EXPECT "expect" = "", MATCHERS,
            "What must come; unset: anything";
    }

    COOL_DOWN "cool_down" in "cool_down" {
        WHEN "when" = "", MATCHERS,
            "What means it";
        CODES "codes" = "", SettingKind::Text("a list of close codes"),
            "Close codes that mean it";
        PAUSE_MS "pause_ms" = "30000", SettingKind::Millis { min: 10, max: DAY },
            "Time until the next attempt";
    }

    BACKOFF "backoff" in "backoff" {
        BASE_MS "base_ms" = "500", SettingKind::Millis { min: 1, max: 3_600_000 },
            "The wait is chosen at random between 0 and base_ms × 2^attempt";
        MAX_MS "max_ms" = "30000", SettingKind::Millis { min: 1, max: DAY },
            "It is no longer than this";
        STABLE_AFTER_MS "stable_after_ms" = "30000", SettingKind::Millis { min: 0, max: DAY },
            "Time for which a connection must have been live before attempts count from 0 again";
    }

    PROXY "Every proxy, besides where to connect" {
        PROXY_PROVIDER "provider" = "", SettingKind::Text("a shipped description's name or custom"),
            "What to start from. Unset: the description of the proxy's own name if there is one, else custom";
        QUERY "query" = "", SettingKind::Text("a list of names"),
            "Query parameters that a client may set; what else it sends is left out";
        QUERY_DEFAULTS "query_defaults" = "", SettingKind::Text("a map from such names to texts"),
            "What they are when the client does not set them";
        QUERY_INSTEAD "query_instead" = "", SettingKind::Text("a map from such names to lists of other parameters"),
            "Where one of those is set, the default of this name is left out";
        ROLES "roles" = "player", SettingKind::Text("a list of roles"),
            "Who may use it";
        ALLOWED_TYPES "allowed_types" = "", SettingKind::Text("a list of texts"),
            "What `type` may say in text frames of a client; unset: any text is passed on";
        BINARY "binary" = "true", SettingKind::Flag,
            "Whether a client may send binary frames, which allowed_types does not look into; unset with allowed_types: false";
        MAX_CLIENT_MESSAGE_BYTES "max_client_message_bytes" = "1m", SettingKind::Bytes { min: 64, max: 16 * M },
            "Longest message that is taken from a client";
        PROXY_MAX_MESSAGE_BYTES "max_message_bytes" = "16m", SettingKind::Bytes { min: 64, max: 64 * M },
            "Longest message that is taken from the upstream";
        ERROR_FRAMES "error_frames" = "true", SettingKind::Flag,
            "Whether the server's own errors, and its farewell when it restarts, are frames before the close; false: with resume_ms 0 every frame is the upstream's, and a refused frame is dropped without a word";
        BUDGET_MAP "budget" = "", SettingKind::Text("a map"),
            "What a session may use up";
        RESUME_MS "resume_ms" = "10000", SettingKind::Millis { min: 0, max: 600_000 },
            "Time for which the upstream is kept for a client that dropped; 0: not at all";
        RESUME_BYTES "resume_bytes" = "1m", SettingKind::Bytes { min: 0, max: 64 * M },
            "Bytes of frames that are kept for it";
    }

    BUDGET "budget" in "budget" {
        SESSION_S "session_s" = "3600", SettingKind::Seconds { min: 0.0, max: 2_592_000.0 },
            "How long a session may last; 0: without bound";
        BYTES "bytes" = "0", SettingKind::Bytes { min: 0, max: 1024 * 1024 * M },
            "Bytes of a session, both ways together; 0: without bound";
        MESSAGES "messages" = "0", SettingKind::Count { min: 0, max: 1_000_000_000_000 },
            "Messages of a session, both ways together; 0: without bound";
        SESSIONS_PER_PLAYER "sessions_per_player" = "2", SettingKind::Count { min: 1, max: 1_000_000 },
            "Sessions that one player may have at once; past it, one whose client is away makes room";
        SESSIONS "sessions" = "100", SettingKind::Count { min: 1, max: 1_000_000 },
            "Sessions of all players together";
    }
}
