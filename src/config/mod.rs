//! Owns the settings: environment and config.yaml in, plain structs out, all problems reported at
//! once. Imports nothing else of the project.

mod auth;
mod docs;
pub mod feeds;
mod file;
mod foreign;
mod gate;
mod kind;
mod listen;
mod origin;
mod prefix;
mod problem;
mod reader;
mod room;
mod secret;
mod source;
mod store;
#[cfg(test)]
mod store_tests;
#[doc(hidden)]
pub mod table;
#[cfg(test)]
mod table_tests;
#[cfg(test)]
mod tests;
mod unread;
mod urls;
mod yaml;

use std::{collections::HashMap, path::Path, time::Duration};

use sentry::types::Dsn;

pub use self::{
    auth::{AuthConfig, AuthMode, TokenConfig},
    feeds::{HubConfig, ProxyConfig, UpstreamConfig},
    gate::{GateConfig, Platform},
    kind::SettingKind,
    listen::{ListenConfig, Ports, PublicConfig},
    origin::{Origin, OriginPattern},
    problem::{Problem, Problems},
    room::{ConnectionConfig, HistoryConfig, LogicPrefix, RoomConfig},
    secret::Secret,
    source::{ProcessEnv, VariableSource},
    store::{Durability, DurabilityPrefix, StoreConfig},
};
use self::{reader::SettingReader, table::SETTINGS};
pub(crate) use self::{store::OPERATOR_KEY_FILE, urls::is_this_machine};

/// All settings of the server. Printing it with `{:?}` shows no secret (A12).
#[derive(Debug, Clone)]
pub struct Config {
    pub listen: ListenConfig,
    pub gate: GateConfig,
    pub connection: ConnectionConfig,
    pub room: RoomConfig,
    pub store: StoreConfig,
    pub drain: DrainConfig,
    pub public: PublicConfig,
    pub log: LogConfig,
    /// `None`: errors are reported nowhere.
    pub sentry_dsn: Option<Secret>,
    /// Section 6, in the order of their names.
    pub hubs: Vec<HubConfig>,
    /// Section 7, in the order of their names.
    pub proxies: Vec<ProxyConfig>,
    pub upstream: UpstreamConfig,
    /// At least 1; `SHARDS=0` has become the number of cores.
    pub shards: usize,
    pub platform: Option<Platform>,
    /// `AUTH=off`.
    pub is_open_on_purpose: bool,
    /// Warnings for the start: variables that are set and not read, and frequent mistakes.
    pub warnings: Vec<Problem>,
}

/// D4.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrainConfig {
    /// From the signal to the exit.
    pub timeout: Duration,
    /// The window over which clients are told to reconnect.
    pub spread: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    pub format: LogFormat,
    pub level: LogLevel,
    /// Between `[HEARTBEAT]` lines.
    pub heartbeat_interval: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    Debug,
    Info,
    Warn,
    Error,
}

/// From the command line; these win over everything.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--host`
    pub host: Option<String>,
    /// `--port`: one shared listener, whatever `WS_PORT` and `HTTP_PORT` say.
    pub port: Option<u16>,
}

impl Config {
    /// From the environment of the process, and the file that `CONFIG_FILE` names or ./config.yaml
    /// if there is one.
    ///
    /// # Errors
    /// Returns every problem found.
    pub fn load(overrides: Overrides) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        for name in
            SETTINGS.iter().flat_map(|setting| [setting.name].into_iter().chain(setting.aliases.iter().copied()))
        {
            if std::env::var_os(name).is_some_and(|value| value.to_str().is_none()) {
                problems.add(name, "is not UTF-8; write it in UTF-8");
            }
        }
        let yaml = file::read(&ProcessEnv, Path::new(""), &mut problems);
        Self::build(&ProcessEnv, yaml.as_deref(), &overrides, problems)
    }

    /// From `source`, and `yaml`, the text of a config.yaml; `CONFIG_FILE` is not looked at.
    ///
    /// # Errors
    /// Every problem there is.
    pub fn from_source(
        source: &dyn VariableSource,
        yaml: Option<&str>,
        overrides: Overrides,
    ) -> Result<Self, Problems> {
        Self::build(source, yaml, &overrides, Problems::default())
    }

    fn build(
        source: &dyn VariableSource,
        yaml: Option<&str>,
        overrides: &Overrides,
        mut problems: Problems,
    ) -> Result<Self, Problems> {
        let file = yaml.map(|yaml| file::settings(yaml, &mut problems)).unwrap_or_default();
        let file::File { texts, hubs, proxies } = file;
        let source = unread::Asked::new(source);
        let mut reader = SettingReader::new(&source, texts, problems);
        let platform = Platform::detect(&reader);
        let shards = match reader.get(&table::SHARDS) {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            shards => shards,
        };
        let mut config = Self {
            shards,
            listen: listen::listen(&mut reader, overrides),
            gate: gate::gate(&mut reader, platform),
            connection: room::connection(&mut reader),
            room: room::room(&mut reader),
            store: store::store(&mut reader),
            drain: DrainConfig {
                timeout: reader.get(&table::DRAIN_TIMEOUT),
                spread: reader.get(&table::DRAIN_SPREAD_MS),
            },
            public: listen::public(&mut reader),
            log: log(&mut reader),
            sentry_dsn: sentry_dsn(&mut reader),
            hubs: feeds::read::hubs(&mut reader, hubs),
            proxies: feeds::read::proxies(&mut reader, proxies),
            upstream: feeds::read::upstream(&mut reader),
            platform,
            is_open_on_purpose: reader.text(&table::AUTH).as_deref() == Some("off"),
            warnings: Vec::new(),
        };
        feeds::credential::lock(&mut config.proxies, &config.gate.auth, config.is_open_on_purpose);
        let mut problems = reader.into_problems();
        let unread = unread::variables(&source);
        if !problems.is_empty() {
            // A misspelt variable, such as JWT_SECRET, may be why another setting is missing.
            unread.into_iter().for_each(|Problem { name, message }| problems.add(name, message));
            return Err(problems);
        }
        config.warnings = unread.into_iter().chain(unread::mistaken(&config)).collect();
        Ok(config)
    }
}

/// All defaults: no environment, no file.
impl Default for Config {
    fn default() -> Self {
        let nothing: HashMap<&str, &str> = HashMap::new();
        Self::from_source(&nothing, None, Overrides::default()).expect("a test shows that the defaults have no problem")
    }
}

fn log(reader: &mut SettingReader<'_>) -> LogConfig {
    LogConfig {
        format: match reader.text(&table::LOG_FORMAT).as_deref() {
            Some("text") => LogFormat::Text,
            Some("json") => LogFormat::Json,
            _ => LogFormat::Auto,
        },
        level: match reader.text(&table::LOG_LEVEL).as_deref() {
            Some("debug") => LogLevel::Debug,
            Some("warn") => LogLevel::Warn,
            Some("error") => LogLevel::Error,
            _ => LogLevel::Info,
        },
        heartbeat_interval: reader.get(&table::LOG_HEARTBEAT_INTERVAL),
    }
}

fn sentry_dsn(reader: &mut SettingReader<'_>) -> Option<Secret> {
    let dsn = reader.secret(&table::SENTRY_DSN)?;
    if dsn.expose().parse::<Dsn>().is_err() {
        reader.reject(&table::SENTRY_DSN, "", "is not a DSN");
    }
    Some(dsn)
}
