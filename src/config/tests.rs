//! Owns the tests of what the settings mean: precedence, every problem at once, secrets, A10,
//! cross-checks.

use super::*;

pub(super) fn load(env: &[(&str, &str)]) -> Result<Config, Problems> {
    load_with(env, None, Overrides::default())
}

pub(super) fn load_with(env: &[(&str, &str)], yaml: Option<&str>, overrides: Overrides) -> Result<Config, Problems> {
    let source: HashMap<&str, &str> = env.iter().copied().collect();
    Config::from_source(&source, yaml, overrides)
}

/// The problems, one per line.
pub(super) fn problems(env: &[(&str, &str)]) -> Vec<String> {
    load(env).map(drop).unwrap_err().to_string().lines().map(str::to_owned).collect()
}

const LONG_SECRET: &str = "hunter2-hunter2-hunter2-hunter2-hunter2";

#[test]
fn the_defaults_have_no_problem_and_are_the_documented_ones() {
    let config = Config::default();
    assert_eq!(config.listen, ListenConfig { host: None, ports: Ports::Shared(8080) });
    assert_eq!(config.gate.disabled_by, None);
    assert_eq!(config.gate.allowed_origins, None);
    assert_eq!(config.gate.client_ip_header, None);
    assert_eq!((config.gate.max_connections_per_ip, config.gate.max_connections), (10, 10_000));
    assert_eq!((config.gate.rate_limit_max_requests, config.gate.rate_limit_window), (100, Duration::from_secs(60)));
    assert!(matches!(config.gate.auth.mode, AuthMode::Open));
    let heartbeat = (config.connection.ping_interval, config.connection.ping_timeout);
    assert_eq!(heartbeat, (Duration::from_secs(30), Duration::from_secs(10)));
    assert_eq!((config.connection.max_message_bytes, config.connection.outbox_bytes), (65_536, 1_048_576));
    let history = HistoryConfig { max_events: 10_000, max_bytes: 1_048_576, max_age: Duration::from_secs(300) };
    assert_eq!(config.room.history, history);
    assert_eq!(config.room.max_state_bytes, 262_144);
    let logics = [("tic-tac-toe-", "tic-tac-toe"), ("demo-table-", "table")]
        .map(|(prefix, logic)| LogicPrefix { prefix: prefix.to_owned(), logic: logic.to_owned() });
    assert_eq!(config.room.logics, logics);
    let store = StoreConfig {
        data_dir: "data".into(),
        data_dir_is_default: true,
        data_dir_timeout: Duration::from_secs(30),
        default: Durability::Journal,
        games: Vec::new(),
    };
    assert_eq!(config.store, store);
    assert_eq!(config.drain, DrainConfig { timeout: Duration::from_secs(10), spread: Duration::from_secs(5) });
    assert_eq!(config.public.websocket_url, None);
    assert_eq!((config.log.format, config.log.level), (LogFormat::Auto, LogLevel::Info));
    assert!(config.sentry_dsn.is_none() && config.platform.is_none() && config.shards >= 1);
}

#[test]
fn every_problem_is_told_at_once_with_what_is_allowed() {
    let env = [
        ("PORT", "eighty"),
        ("WS_PORT", "65536"),
        ("WEBSOCKET_HOST", "example.com"),
        ("MAX_WS_CONNECTIONS", "0"),
        ("WS_PING_INTERVAL", "30s"),
        ("ENABLE_WS_PROXY", "maybe"),
        ("CORS_ORIGINS", "https://a.example, example.com, *.b.example"),
        ("LOG_LEVEL", "loud\n"),
        ("GAME_LOGICS", "chess"),
        ("PUBLIC_URL", "ftp://example.com"),
        ("CLIENT_IP_HEADER", "x real ip"),
    ];
    let yaml = "log_format: xml\nprot: 8080\n";
    let found = load_with(&env, Some(yaml), Overrides { host: Some("nowhere".to_owned()), port: None });
    let found = found.unwrap_err().to_string();
    let mut lines: Vec<&str> = found.lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "--host: \"nowhere\" is not an address; allowed: an IP address or localhost",
            "CLIENT_IP_HEADER: \"x real ip\" is not a header's name; allowed: a header's name or none",
            "CORS_ORIGINS: \"*.b.example\" has no scheme; allowed: comma-separated https://example.com, \
             https://*.example.com or *",
            "CORS_ORIGINS: \"example.com\" has no scheme; allowed: comma-separated https://example.com, \
             https://*.example.com or *",
            "ENABLE_WS_PROXY: \"maybe\" is not a yes or a no; allowed: true or false",
            "GAME_LOGICS: \"chess\" has no `=`; allowed: comma-separated prefix=logic, or none",
            "LOG_FORMAT: \"xml\" is none of the allowed words; allowed: auto, text or json (set in config.yaml)",
            "LOG_LEVEL: \"loud\" is none of the allowed words; allowed: debug, info, warn or error",
            "MAX_WS_CONNECTIONS: \"0\" is out of range; allowed: 1 to 10000000",
            "PORT: \"eighty\" is not a whole number; allowed: 0 to 65535",
            "PUBLIC_URL: \"ftp://example.com\" has another scheme; allowed: a domain, or an http, https, ws or wss URL",
            "WEBSOCKET_HOST: \"example.com\" is not an address; allowed: an IP address or localhost",
            "WS_PING_INTERVAL: \"30s\" is not a number of seconds; allowed: 0.01 to 3600 seconds",
            "WS_PORT: \"65536\" is out of range; allowed: 0 to 65535",
            "config.yaml: line 2: unknown setting \"prot\"; did you mean port?",
        ]
    );
}

#[test]
fn the_environment_wins_over_the_file_and_the_file_over_the_default() {
    let yaml = Some("port: 1\nmax_ws_connections: 5\nenable_ws_proxy: no\n");
    let config = load_with(&[("PORT", "2"), ("MAX_WS_CONNECTIONS", "")], yaml, Overrides::default()).unwrap();
    assert_eq!(config.listen.ports, Ports::Shared(2));
    assert_eq!(config.gate.max_connections, 5, "an empty variable is unset");
    assert_eq!(config.gate.disabled_by, Some("ENABLE_WS_PROXY"));
    assert_eq!(config.gate.max_connections_per_ip, 10);
}

#[test]
fn an_alias_is_read_when_the_name_is_unset_in_the_same_place() {
    let host = |env: &[(&str, &str)], yaml| load_with(env, yaml, Overrides::default()).unwrap().listen.host.unwrap();
    assert_eq!(host(&[("WEBSOCKET_HOST", "::1")], None).to_string(), "::1");
    assert_eq!(host(&[("HOST", "0.0.0.0"), ("WEBSOCKET_HOST", "::1")], None).to_string(), "0.0.0.0");
    assert_eq!(host(&[("HOST", " "), ("WEBSOCKET_HOST", "localhost")], None).to_string(), "127.0.0.1");
    assert_eq!(host(&[("WEBSOCKET_HOST", "::1")], Some("host: 127.0.0.2")).to_string(), "::1");
    assert_eq!(host(&[], Some("websocket_host: '[::]'")).to_string(), "::");
}

#[test]
fn the_command_line_wins_over_everything() {
    let env = [("HOST", "::1"), ("PORT", "1"), ("WS_PORT", "2"), ("HTTP_PORT", "3")];
    let overrides = Overrides { host: Some("localhost".to_owned()), port: Some(0) };
    let listen = load_with(&env, Some("port: 4"), overrides).unwrap().listen;
    assert_eq!(listen, ListenConfig { host: Some([127, 0, 0, 1].into()), ports: Ports::Shared(0) });
}

#[test]
fn listeners_are_split_only_when_their_ports_differ() {
    let ports = |env: &[(&str, &str)]| load(env).unwrap().listen.ports;
    assert_eq!(ports(&[("WS_PORT", "9000")]), Ports::Split { ws: 9000, http: 8080 });
    assert_eq!(ports(&[("HTTP_PORT", "9000"), ("PORT", "80")]), Ports::Split { ws: 80, http: 9000 });
    assert_eq!(ports(&[("WS_PORT", "9000"), ("HTTP_PORT", "9000")]), Ports::Shared(9000));
    assert_eq!(ports(&[("WS_PORT", "8080")]), Ports::Shared(8080));
    assert_eq!(ports(&[("PORT", "0")]), Ports::Shared(0));
    assert_eq!(ports(&[("WS_PORT", "0"), ("HTTP_PORT", "0")]), Ports::Split { ws: 0, http: 0 });
}

#[test]
fn s5a_a_burst_of_bytes_holds_the_longest_message_or_is_a_mistake() {
    let limits = |env: &[(&str, &str)]| load(env).expect("no problem").connection;
    let defaults = limits(&[]);
    assert_eq!((defaults.byte_rate, defaults.byte_burst), (256 << 10, 1 << 20));
    let equal = limits(&[("MAX_MESSAGE_BYTES", "2m"), ("BYTE_BURST", "2m"), ("BYTE_RATE", "1k")]);
    assert_eq!((equal.byte_rate, equal.byte_burst, equal.max_message_bytes), (1024, 2 << 20, 2 << 20));
    assert_eq!(limits(&[("MAX_MESSAGE_BYTES", "2m")]).byte_burst, 2 << 20, "one that nobody set grows");
    let lines = problems(&[("BYTE_BURST", "63k")]);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("BYTE_BURST: is 63k, less than MAX_MESSAGE_BYTES, which is 64k"), "{lines:?}");
    assert_eq!(
        problems(&[("BYTE_BURST", "63k"), ("MAX_MESSAGE_BYTES", "x")]).len(),
        1,
        "of a wrong value nothing follows"
    );
}

#[test]
fn a10_a_hosted_platform_needs_a_secret_or_auth_off() {
    for variable in ["RAILWAY_ENVIRONMENT_NAME", "RENDER", "FLY_APP_NAME", "DYNO"] {
        let lines = problems(&[(variable, "x")]);
        assert!(matches!(&lines[..], [line] if line.starts_with("JWT_SECRET: is unset") && line.contains("AUTH=off")));
        let config = load(&[(variable, "x"), ("AUTH", "off")]).unwrap();
        assert!(matches!(config.gate.auth.mode, AuthMode::Open));
        assert_eq!(config.platform.unwrap().variable(), variable);
        let config = load(&[(variable, "x"), ("JWT_SECRET", LONG_SECRET)]).unwrap();
        assert!(matches!(config.gate.auth.mode, AuthMode::Jwt(_)));
    }
    assert!(load(&[("RENDER", "")]).is_ok(), "an empty mark is no platform");
}

#[test]
fn a10_contradictions_are_no_settings() {
    let config = load(&[("JWT_SECRET", LONG_SECRET), ("JWT_AUDIENCE", "game"), ("JWT_ISSUER", "us")]).unwrap();
    let AuthMode::Jwt(tokens) = config.gate.auth.mode else { panic!("not open") };
    assert_eq!(tokens.secret.as_ref().map(|secret| secret.expose()), Some(LONG_SECRET));
    assert_eq!((tokens.audience.as_deref(), tokens.issuer.as_deref()), (Some("game"), Some("us")));
    assert_eq!(
        problems(&[("JWT_SECRET", LONG_SECRET), ("AUTH", "off")]),
        ["AUTH: is off, yet JWT_SECRET is set; unset one of them"]
    );
    assert_eq!(
        problems(&[("JWT_AUDIENCE", "game"), ("JWT_ISSUER", "us")]),
        ["JWT_AUDIENCE", "JWT_ISSUER"]
            .map(|name| format!("{name}: does nothing while JWT_SECRET is unset; set that, or unset this"))
    );
}

#[test]
fn a15_secrets_that_are_short_or_stand_in_quotes_are_refused_and_not_shown() {
    for (name, min) in [("JWT_SECRET", 32), ("HTTP_API_SECRET", 32), ("HUB_TOKEN", 16)] {
        let long = "x".repeat(min);
        assert!(load(&[(name, &long)]).is_ok(), "{name}");
        let short = problems(&[(name, &long[1..])]);
        assert!(
            matches!(&short[..], [line] if line.starts_with(&format!("{name}: the value is shorter than {min} bytes"))),
            "{short:?}"
        );
        for quoted in [format!("\"{long}\""), format!("'{long}'")] {
            let lines = problems(&[(name, &quoted)]);
            assert!(
                matches!(&lines[..], [line] if line.starts_with(&format!("{name}: the value stands in literal quotes")) && !line.contains("xxx")),
                "{lines:?}"
            );
        }
    }
}

#[test]
fn a10_a_server_that_has_only_issuers_keys_is_not_open() {
    for setting in [("JWT_JWKS_URL", "https://id.example/jwks.json"), ("JWT_PUBLIC_KEY", "key.pem")] {
        for env in [&[setting][..], &[setting, ("RENDER", "1")]] {
            assert!(matches!(load(env).unwrap().gate.auth.mode, AuthMode::Jwt(_)), "{env:?}");
        }
    }
}

#[test]
fn a11a_keys_come_over_https_or_from_this_machine() {
    let tokens = |urls| match load(&[("JWT_JWKS_URL", urls)]).unwrap().gate.auth.mode {
        AuthMode::Jwt(tokens) => tokens.jwks_urls,
        AuthMode::Open => panic!("open"),
    };
    assert_eq!(tokens("https://a.example/x, http://[::1]:9/y").len(), 2);
    assert_eq!(tokens("http://localhost:9/x,http://127.0.0.1/y").len(), 2);
    for wrong in [
        "http://id.example/x",
        "ftp://localhost/x",
        "id.example",
        "https://",
        "https:///id.example/x",
        "http://localhost.evil.example/",
        "http://localhost@evil.example/",
    ] {
        assert_eq!(problems(&[("JWT_JWKS_URL", wrong)]).len(), 1, "{wrong}");
    }
}

#[test]
fn a12_secrets_are_neither_in_debug_nor_in_problems() {
    let env = [("JWT_SECRET", LONG_SECRET), ("SENTRY_DSN", "https://hunter2@sentry.example/1")];
    let config = load(&env).unwrap();
    assert!(!format!("{config:?} {:#?}", config).contains("hunter2"));
    assert_eq!(format!("{0} {0:?}", config.sentry_dsn.unwrap()), "*** ***");

    let wrong = [("JWT_SECRET", " hunter2"), ("SENTRY_DSN", "hunter2"), ("RENDER", "1")];
    let lines = problems(&wrong);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("JWT_SECRET: the value has white space"), "{lines:?}");
    assert!(lines[1].starts_with("SENTRY_DSN: the value is not a DSN"), "{lines:?}");
    assert!(!lines.concat().contains("hunter2"));

    let yaml = Some("jwt_secret: hunter2-hunter2-hunter2-hunter2-hunter2\nsentry_dsn: 'https://hunter2'\nauth: off\n");
    let found = load_with(&[("DYNO", "x")], yaml, Overrides::default()).unwrap_err();
    assert_eq!(found.iter().count(), 2);
    assert!(!format!("{found} {found:?}").contains("hunter2"));
}

#[test]
fn the_client_ip_header_is_the_platforms_unless_set() {
    let header = |env: &[(&str, &str)]| {
        let env: Vec<_> = env.iter().copied().chain([("JWT_SECRET", LONG_SECRET)]).collect();
        load(&env).unwrap().gate.client_ip_header
    };
    assert_eq!(header(&[("RAILWAY_ENVIRONMENT_NAME", "x")]).as_deref(), Some("x-real-ip"));
    assert_eq!(header(&[("RENDER", "x")]).as_deref(), Some("true-client-ip"));
    assert_eq!(header(&[("FLY_APP_NAME", "x")]).as_deref(), Some("fly-client-ip"));
    assert_eq!(header(&[("DYNO", "x")]).as_deref(), Some("x-forwarded-for"));
    assert_eq!(header(&[("CLIENT_IP_HEADER", "CF-Connecting-IP"), ("DYNO", "x")]).as_deref(), Some("cf-connecting-ip"));
    assert_eq!(header(&[("CLIENT_IP_HEADER", "None"), ("DYNO", "x")]), None);
    assert_eq!(header(&[]), None);
}

#[test]
fn the_public_address_is_the_first_that_is_set_as_a_websocket_url() {
    let url = |env: &[(&str, &str)]| load(env).unwrap().public.websocket_url.unwrap();
    let all = [
        ("RAILWAY_STATIC_URL", "d.example"),
        ("RAILWAY_PUBLIC_DOMAIN", "c.example"),
        ("WEBSOCKET_PUBLIC_DOMAIN", "b.example:8443"),
        ("PUBLIC_URL", "http://a.example/game/"),
    ];
    assert_eq!(url(&all), "ws://a.example/game");
    assert_eq!(url(&all[..3]), "wss://b.example:8443");
    assert_eq!(url(&all[..2]), "wss://c.example");
    assert_eq!(url(&all[..1]), "wss://d.example");
    assert_eq!(url(&[("PUBLIC_URL", "https://a.example/")]), "wss://a.example");
    assert_eq!(url(&[("PUBLIC_URL", "WSS://a.example")]), "wss://a.example");
    assert_eq!(url(&[("PUBLIC_URL", "https://A.example:443/game//")]), "wss://a.example/game");
    for bad in ["https://", "https:///game", "/game", "a.example?x", "a b", "a.example:99999", "user@a.example"] {
        assert_eq!(problems(&[("PUBLIC_URL", bad)]).len(), 1, "{bad}");
    }
}

#[test]
fn lists_in_the_file_are_read_like_lists_in_the_environment() {
    let yaml = "cors_origins:\n  - https://a.example\n  - https://*.b.example\n\
                game_logics: { a-: relay, a-ttt-: tic-tac-toe }\n";
    let from_file = load_with(&[], Some(yaml), Overrides::default()).unwrap();
    let env = [
        ("ALLOWED_ORIGINS", "https://a.example, https://*.b.example,"),
        ("GAME_LOGICS", "a-=relay,a-ttt-=tic-tac-toe"),
    ];
    let from_env = load(&env).unwrap();
    assert_eq!(from_file.gate.allowed_origins, from_env.gate.allowed_origins);
    assert_eq!(from_file.gate.allowed_origins.map(|origins| origins.len()), Some(2));
    assert_eq!(from_file.room.logics, from_env.room.logics);
    let prefixes: Vec<_> = from_file.room.logics.iter().map(|logic| logic.prefix.as_str()).collect();
    assert_eq!(prefixes, ["a-ttt-", "a-"], "the longest comes first");
    assert!(load(&[("GAME_LOGICS", "none")]).unwrap().room.logics.is_empty());
    assert_eq!(problems(&[("GAME_LOGICS", "a-=relay,a-=tic-tac-toe")]).len(), 1);
    assert_eq!(problems(&[("ALLOWED_ORIGINS", ",")]).len(), 1);
}
