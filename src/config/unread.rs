//! Owns what the operator is warned of: variables that are set and that nothing reads, and settings
//! that are often mistaken for others. `app` logs each warning at the start.

use std::{cell::RefCell, collections::HashSet};

use super::{
    Config,
    feeds::VARIABLES,
    foreign,
    problem::Problem,
    source::VariableSource,
    table::{MAX_UPSTREAM_CONNECTIONS, MAX_WS_CONNECTIONS, SETTINGS},
};

/// Below this, MAX_WS_CONNECTIONS is probably meant for upstreams: servers of feeds use the name
/// for those.
const FEW_CLIENTS: usize = 100;

/// Platforms and tools set many variables with these prefixes.
const PLATFORM_PREFIXES: &[&str] = &["RAILWAY_", "RENDER_", "FLY_", "HEROKU_", "KUBERNETES_", "CARGO_", "npm_"];

/// A source that remembers which names it was asked for: a description may read any variable by
/// `${NAME}`.
pub(super) struct Asked<'a> {
    inner: &'a dyn VariableSource,
    names: RefCell<HashSet<String>>,
}

impl<'a> Asked<'a> {
    pub(super) fn new(inner: &'a dyn VariableSource) -> Self {
        Self { inner, names: RefCell::default() }
    }
}

impl VariableSource for Asked<'_> {
    fn get(&self, key: &str) -> Option<String> {
        if !self.names.borrow().contains(key) {
            self.names.borrow_mut().insert(key.to_owned());
        }
        self.inner.get(key)
    }

    fn names(&self) -> Vec<String> {
        self.inner.names()
    }
}

/// Returns a warning for each variable that is set, was not read, and is probably meant for this
/// server. No value is shown.
pub(super) fn variables(source: &Asked<'_>) -> Vec<Problem> {
    let mut names = source.names();
    names.sort_unstable();
    let asked = source.names.borrow();
    let unread = names.iter().filter(|name| !is_known(name) && !asked.contains(*name));
    let warning = |name: &String| {
        let message = meant(name)?;
        let is_meant_for_us = source.inner.get(name).is_some_and(|value| !value.trim().is_empty() && !is_link(&value));
        is_meant_for_us.then(|| Problem { name: name.clone(), message: format!("is set and not read; {message}") })
    };
    unread.filter_map(warning).collect()
}

/// Returns a warning if the value of a setting suggests that another setting is meant.
pub(super) fn mistaken(config: &Config) -> Option<Problem> {
    let clients = config.gate.max_connections;
    (clients < FEW_CLIENTS).then(|| Problem {
        name: MAX_WS_CONNECTIONS.name.to_owned(),
        message: format!(
            "bounds the clients of the whole server to {clients}; connections to upstreams are bounded by {}",
            MAX_UPSTREAM_CONNECTIONS.name
        ),
    })
}

fn known() -> impl Iterator<Item = &'static str> {
    let settings = SETTINGS.iter().flat_map(|setting| std::iter::once(setting.name).chain(setting.aliases.to_vec()));
    settings.chain(VARIABLES.iter().map(|variable| variable.name))
}

fn is_known(name: &str) -> bool {
    known().any(|known| known == name)
}

/// Kubernetes and Docker set `INNKEEPER_PORT=tcp://10.0.0.1:8080` for a service of that name.
fn is_link(value: &str) -> bool {
    value.starts_with("tcp://") || value.starts_with("udp://")
}

/// Returns the setting that the variable probably means, or `None` if it belongs to another
/// program.
fn meant(name: &str) -> Option<String> {
    if PLATFORM_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
        return None;
    }
    let plain = name.to_ascii_uppercase().replace('-', "_");
    if let Some(instead) = foreign::variable(&plain) {
        return Some(instead.to_owned());
    }
    let bare = plain.strip_prefix("INNKEEPER_").unwrap_or(&plain);
    let without = ["WEBSOCKET_", "WS_"].into_iter().find_map(|prefix| bare.strip_prefix(prefix));
    let written = [Some(bare.to_owned()), without.map(|rest| format!("WS_{rest}")), without.map(str::to_owned)];
    let other = written.into_iter().flatten().find(|other| *other != plain && is_known(other));
    if let Some(other) = other.filter(|_| plain == *name) {
        return Some(format!("did you mean {other}?"));
    }
    let near = known().filter_map(|known| Some((distance(bare, known)?, known))).min();
    near.map(|(_, known)| format!("did you mean {known}?"))
}

/// How far the names are apart, if they are near enough that one is the other mistyped. Short names
/// have too many neighbours: of them only two letters in the wrong order count.
fn distance(written: &str, known: &str) -> Option<usize> {
    const UNITS: &[&str] = &["_MS", "_S", "_SECS", "_SECONDS", "_BYTES"];
    let with_unit = |long: &str, short: &str| long.strip_prefix(short).is_some_and(|unit| UNITS.contains(&unit));
    let is_long = written.len() >= 8;
    if is_long && (with_unit(known, written) || with_unit(written, known)) {
        return Some(1);
    }
    let distance = strsim::damerau_levenshtein(written, known);
    let near = match written.len().min(known.len()) {
        // A lower-case name of this length is any program's.
        0..=5 => distance == 1 && written.len() == known.len() && is_transposed(written, known),
        6..=11 => distance <= 1,
        _ => distance <= 2,
    };
    near.then_some(distance)
}

fn is_transposed(written: &str, known: &str) -> bool {
    let sorted = |name: &str| {
        let mut letters = name.as_bytes().to_vec();
        letters.sort_unstable();
        letters
    };
    sorted(written) == sorted(known)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::config::Overrides;

    fn warnings(variables: &[(&str, &str)]) -> Vec<String> {
        let source: HashMap<&str, &str> = variables.iter().copied().collect();
        let yaml = "hubs:\n  weather: {url: 'wss://w.example/${JWT_SECRETS}', topic: {parts: [/t]}}\n";
        let config = Config::from_source(&source, Some(yaml), Overrides::default());
        let config = config.unwrap_or_else(|problems| panic!("{problems}"));
        config.warnings.iter().map(|Problem { name, message }| format!("{name}: {message}")).collect()
    }

    #[test]
    fn a_name_near_to_one_of_ours_is_told_with_the_one_that_is_meant_and_without_its_value() {
        for (name, meant) in [
            ("JWT_SECERT", "JWT_SECRET"),
            ("JWTSECRET", "JWT_SECRET"),
            ("jwt_secret", "JWT_SECRET"),
            ("ALLOWED_ORIGIN", "ALLOWED_ORIGINS"),
            ("CORS_ORIGIN", "CORS_ORIGINS"),
            ("PROT", "PORT"),
            ("DATADIR", "DATA_DIR"),
            ("LOGLEVEL", "LOG_LEVEL"),
            ("MAX_CONECTIONS_PER_IPS", "MAX_CONNECTIONS_PER_IP"),
            ("WS_PING_INTERVAL_MS", "WS_PING_INTERVAL"),
            ("RATE_LIMIT_WINDOW", "RATE_LIMIT_WINDOW_MS"),
            ("INNKEEPER_PORT", "PORT"),
            ("WEBSOCKET_PING_TIMEOUT", "WS_PING_TIMEOUT"),
            ("WS_ALLOWED_ORIGINS", "ALLOWED_ORIGINS"),
            ("WS_HOST", "HOST"),
            ("MASSIVE_APIKEY", "MASSIVE_API_KEY"),
            ("SENTRY_DNS", "SENTRY_DSN"),
        ] {
            let expected = [format!("{name}: is set and not read; did you mean {meant}?")];
            assert_eq!(warnings(&[(name, "hunter2")]), expected);
        }
    }

    #[test]
    fn a_name_of_other_peoples_servers_is_told_with_what_is_there_in_its_place() {
        for (name, instead) in [("DATABASE_URL", "DATA_DIR"), ("REDIS_URL", "one instance"), ("WEBSOCKET_PORT", "PORT")]
        {
            let told = warnings(&[(name, "hunter2")]);
            assert!(told.len() == 1 && told[0].starts_with(name) && told[0].contains(instead), "{name}: {told:?}");
            assert!(!told[0].contains("hunter2"), "{told:?}");
        }
    }

    #[test]
    fn an_ordinary_environment_is_no_warning() {
        let ordinary = "PATH HOME USER LOGNAME SHELL TERM PWD OLDPWD LANG LC_ALL LC_CTYPE TZ TMPDIR SHLVL HOSTNAME HOSTTYPE \
            MAIL EDITOR VISUAL PAGER DISPLAY SSH_AUTH_SOCK SSH_CONNECTION XDG_RUNTIME_DIR XDG_DATA_DIRS XDG_DATA_HOME \
            DBUS_SESSION_BUS_ADDRESS HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy HTTP_HOST NODE_ENV \
            NODE_OPTIONS NPM_TOKEN npm_config_port RUST_LOG RUST_BACKTRACE RUSTUP_HOME CARGO_HOME CARGO_PKG_NAME \
            JAVA_HOME GOPATH PYTHONPATH VIRTUAL_ENV DOCKER_HOST DOCKER_BUILDKIT KUBERNETES_PORT KUBERNETES_SERVICE_HOST \
            INNKEEPER_SERVICE_HOST INNKEEPER_BIN CI GITHUB_TOKEN GITHUB_SHA AWS_REGION AWS_SECRET_ACCESS_KEY \
            SENTRY_ENVIRONMENT SENTRY_RELEASE OPENAI_BASE_URL OPENAI_ORG_ID OPENAI_API_BASE ANTHROPIC_API_KEY \
            BINANCE_API_KEY STRIPE_API_KEY PINECONE_API_KEY MAILGUN_API_KEY RAILWAY_PRIVATE_DOMAIN RAILWAY_TCP_PROXY_PORT \
            RAILWAY_SERVICE_ID RENDER_EXTERNAL_URL FLY_REGION DYNO_RAM PGHOST PGPORT PGPASSWORD MYSQL_HOST LOG_DIR \
            DATA_HOME STATE_DIR CACHE_DIR WEB_PORT API_PORT APP_PORT APP_URL NEXTAUTH_SECRET NEXTAUTH_URL AUTH_URL \
            VITE_API_URL NEXT_PUBLIC_SUPABASE_URL SUPABASE_URL MALLOC_ARENA_MAX INVOCATION_ID JOURNAL_STREAM \
            LISTEN_FDS LISTEN_PID NOTIFY_SOCKET MAINPID HISTSIZE HISTFILE HISTCONTROL LS_COLORS COLORTERM host port auth";
        for name in ordinary.split_whitespace() {
            assert_eq!(warnings(&[(name, "1")]), [""; 0]);
        }
        assert_eq!(warnings(&[("INNKEEPER_PORT", "tcp://10.0.0.1:8080")]), [""; 0], "a service's link");
        assert_eq!(warnings(&[("JWT_SECERT", " ")]), [""; 0], "unset");
    }

    #[test]
    fn a_variable_that_a_description_reads_is_read() {
        assert_eq!(warnings(&[("JWT_SECRETS", "x")]), [""; 0]);
    }

    #[test]
    fn max_ws_connections_below_a_hundred_is_told_to_bound_clients() {
        let told = warnings(&[("MAX_WS_CONNECTIONS", "99")]);
        assert!(told.len() == 1 && told[0].contains("clients") && told[0].contains("MAX_UPSTREAM_CONNECTIONS"));
        assert_eq!(warnings(&[("MAX_WS_CONNECTIONS", "100")]), [""; 0]);
    }

    #[test]
    fn no_name_of_other_peoples_servers_is_one_of_ours() {
        for name in foreign::VARIABLES.iter().map(|(name, _)| *name) {
            assert!(!is_known(name), "{name} is read; strike it from the list");
        }
    }
}
