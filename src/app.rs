//! Owns the composition: from the configuration to shards, registry and listeners; start, signals,
//! drain and stop. Only this module imports all others.

mod durable;
mod feeds;
mod files;
mod issuers;
mod listeners;
mod operator_key;
mod running;
mod signals;
mod stop_source;

use std::{
    fmt, io,
    net::SocketAddr,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use actix::{Actor as _, Addr, Arbiter, AsyncContext as _};
use slog::{Logger, info, warn};
use tokio::{sync::watch, time::timeout_at};

pub use self::running::Running;
use self::{
    durable::{WrapStore, close, open_journal, sweep},
    feeds::{start_hubs, stop_hubs},
    files::{places, raise_file_limit},
    issuers::{keep_fetching, tokens},
    listeners::{announce, bind, write_whereabouts},
    operator_key::operator_key,
    stop_source::StopSource,
};
use crate::{
    config::{AuthMode, Config, LogFormat, LogLevel, Problem, ProxyConfig},
    connection::Terms,
    gate::{Guards, Operators, RoomPermits, Tokens},
    http::{self, Admission, Duty, Entrance, Site},
    hub::ServerFeed,
    observe::{log, metrics::Metrics, report},
    protocol::GameId,
    proxy::ProxyPlan,
    registry::{
        Registry, ServerPhase, Shard, ShardPlan,
        messages::{AttachShards, Drain},
    },
    room::{Ledger, Logics, RoomEvents, RoomLogic},
    store::Store,
    ws::Dialer,
};

/// Added to the time after which no client can resume in a room that was not opened since the
/// start.
const SWEEP_MARGIN: Duration = Duration::from_secs(1);

/// The least time the store gets for its last writes, however long the drain took.
const MIN_FLUSH: Duration = Duration::from_millis(500);

/// Why the server did not start.
#[derive(Debug)]
pub enum StartError {
    /// The configuration cannot be applied; the message names the setting.
    Config(String),
    /// The data directory cannot be used; the message says why.
    Store(String),
    /// A listener could not be bound, or a thread could not be started.
    Io(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(message) | Self::Store(message) => f.write_str(message),
            Self::Io(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for StartError {}

impl From<io::Error> for StartError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A configured server that does not run yet.
pub struct Innkeeper {
    config: Config,
    logics: Logics,
    routes: Vec<(String, String)>,
    wrap_store: Option<WrapStore>,
}

impl Innkeeper {
    pub fn new(config: Config) -> Self {
        Self { config, logics: Logics::new(), routes: Vec::new(), wrap_store: None }
    }

    /// Uses the logic that `make` returns, one value per room, for games whose name begins with
    /// `prefix`. `GAME_LOGICS` may route further prefixes to this `name`.
    #[must_use]
    pub fn logic<L: RoomLogic>(
        mut self,
        name: &str,
        prefix: &str,
        make: impl Fn(&GameId) -> L + Send + Sync + 'static,
    ) -> Self {
        self.logics.register(name, Arc::new(move |game| Box::new(make(game))));
        self.routes.push((prefix.into(), name.into()));
        self
    }

    /// Wraps or replaces the configured store, for example to observe it, to copy it or to inject
    /// faults. Not called when all rooms live in memory.
    #[must_use]
    pub fn wrap_store(mut self, wrap: impl FnOnce(Box<dyn Store>) -> Box<dyn Store> + Send + 'static) -> Self {
        self.wrap_store = Some(Box::new(wrap));
        self
    }

    /// Serves until SIGTERM or SIGINT, then drains (D4). Blocks the calling thread.
    ///
    /// # Errors
    /// [`StartError`], before anything is served.
    pub fn run(self) -> Result<(), StartError> {
        self.serve_until(StopSource::by_signal(), |_| {})
    }

    /// Serves on a thread of its own until [`Running::stop`], or until the returned value is
    /// dropped; signals are left to the program. Returns once players can connect.
    ///
    /// # Errors
    /// [`StartError`], before anything is served.
    pub fn start(self) -> Result<Running, StartError> {
        Running::start(self)
    }

    /// Calls `served` with the address that players connect to, once they can.
    fn serve_until(mut self, ending: StopSource, served: impl FnOnce(SocketAddr)) -> Result<(), StartError> {
        let configured = self.config.room.logics.iter().map(|route| (&route.prefix, &route.logic));
        for (prefix, name) in self.routes.iter().map(|(prefix, name)| (prefix, name)).chain(configured) {
            self.logics.route(prefix, name).map_err(|why| StartError::Config(format!("GAME_LOGICS: {why}")))?;
        }
        let (logger, log_guard) = start_log(&self.config);
        let dsn = self.config.sentry_dsn.as_ref().map(|dsn| dsn.expose());
        let release = concat!("innkeeper@", env!("CARGO_PKG_VERSION"));
        let reports = report::start(dsn, release).map_err(StartError::Config)?;
        report::install_panic_hook(logger.clone());
        let result = actix::System::new().block_on(serve(
            Arc::new(self.config),
            Arc::new(self.logics),
            self.wrap_store,
            logger,
            log_guard.recent(),
            ending,
            served,
        ));
        drop(reports);
        drop(log_guard);
        result
    }
}

fn start_log(config: &Config) -> (Logger, log::LogGuard) {
    let format = match config.log.format {
        LogFormat::Auto => log::Format::for_stdout(),
        LogFormat::Text => log::Format::Text,
        LogFormat::Json => log::Format::Json,
    };
    let level = match config.log.level {
        LogLevel::Debug => log::Level::Debug,
        LogLevel::Info => log::Level::Info,
        LogLevel::Warn => log::Level::Warn,
        LogLevel::Error => log::Level::Error,
    };
    log::start(format, level)
}

async fn serve(
    config: Arc<Config>,
    logics: Arc<Logics>,
    wrap: Option<WrapStore>,
    logger: Logger,
    recent: Arc<log::Recent>,
    mut ending: StopSource,
    served: impl FnOnce(SocketAddr),
) -> Result<(), StartError> {
    let tokens = tokens(&config)?;
    ending.install()?;
    for Problem { name, message } in &config.warnings {
        warn!(logger, "{name} {message}"; "setting" => name);
    }
    let metrics = Metrics::new(env!("CARGO_PKG_VERSION"));
    let (phase, phase_seen) = watch::channel(ServerPhase::Starting);
    let phase = Arc::new(phase);
    // The store opens first: while another process still holds the directory, a bound port would
    // accept clients and serve none.
    let journal = tokio::select! {
        journal = open_journal(&config, wrap, &metrics, &logger) => journal?,
        signal = ending.comes() => {
            info!(logger, "stopped before the start"; "signal" => signal);
            return Ok(());
        }
    };
    let operator_key = operator_key(&config, &logger);
    start_fetching(&config, tokens.as_ref(), &logger);
    let started = Instant::now();
    let listeners = bind(&config)?;
    let ws_port = listeners.iter().find(|(duty, _)| *duty == Duty::WebSocketOnly);
    let ws_port = ws_port.map(|(_, listener)| listener.local_addr().map(|address| address.port())).transpose()?;

    let dialer = Dialer::new(config.upstream.ca_file.as_deref()).map_err(StartError::Config)?;
    let (numbers, has_store) = (metrics.clone(), journal.is_some());
    let server_feed =
        move || ServerFeed::new(numbers.clone(), recent.clone(), env!("CARGO_PKG_VERSION"), started, has_store);
    let hubs = start_hubs(&config, &metrics, &logger, &dialer, journal.as_ref(), server_feed)?;
    let proxies = proxies(&config, &dialer, &metrics, &logger)?;
    let rooms = RoomPermits::new(config.room.max_rooms, config.room.max_rooms_per_address);
    let ledger = Ledger::new(config.room.history_total_bytes, metrics.clone());
    let plan = |registry| ShardPlan {
        config: config.clone(),
        logics: logics.clone(),
        metrics: metrics.clone(),
        logger: logger.clone(),
        registry,
        journal: journal.clone(),
        ledger: ledger.clone(),
        started,
        hubs: hubs.clone(),
        proxies: proxies.clone(),
        rooms: rooms.clone(),
    };
    let (registry, shards) = start_actors(plan, &config, &metrics, &logger, &phase)?;
    let admission = Admission {
        config: config.clone(),
        registry: registry.clone(),
        logger: logger.clone(),
        metrics: metrics.clone(),
        operators: Arc::new(Operators::new(&config.gate, operator_key.as_ref().map(|key| &key.secret), tokens.clone())),
        warned: Arc::default(),
    };
    let shards: Arc<[_]> = shards.into();
    if let Some(journal) = &journal {
        let after = config.room.reconnect_grace + config.room.linger + SWEEP_MARGIN;
        actix_rt::spawn(sweep(journal.clone(), shards.clone(), after, logger.clone()));
    }
    let site = Site {
        admission: admission.clone(),
        phase: phase_seen,
        started,
        shards: shards.clone(),
        hubs: hubs.clone(),
        ws_port,
    };
    let terms = Terms {
        connection: config.connection.clone(),
        auth_timeout: config.gate.auth.timeout,
        guards: Guards { tokens, operators: admission.operators.clone() },
    };
    let entrance = Entrance { admission, shards, terms: Arc::new(terms), visitors: Arc::default() };

    let max_files = raise_file_limit(&config, &logger);
    let places = Arc::new(places(&config, max_files, &metrics));
    announce(&config, &listeners, operator_key.as_ref(), &logger)?;
    let address = listeners[0].1.local_addr()?;
    let whereabouts = write_whereabouts(&config, &listeners, &logger)?;
    let mut server =
        actix_server::Server::build().workers(thread::available_parallelism().map_or(1, usize::from)).disable_signals();
    for (duty, listener) in listeners {
        let (site, entrance, places) = (site.clone(), entrance.clone(), places.clone());
        server = server.listen(format!("{duty:?}"), listener, move || {
            http::service(duty, site.clone(), entrance.clone(), places.clone())
        })?;
    }
    let server = server.run();
    let handle = server.handle();
    actix_rt::spawn(server);
    phase.send_replace(ServerPhase::Ready);
    served(address);

    let signal = ending.comes().await;
    info!(logger, "draining"; "signal" => signal, "connections" => metrics.connections.get());
    let deadline = tokio::time::Instant::now() + config.drain.timeout;
    let drain = async { tokio::join!(registry.send(Drain), stop_hubs(&hubs)) };
    let drained = timeout_at(deadline, drain).await.is_ok();
    let flushed = match journal {
        Some(journal) => {
            timeout_at(deadline.max(tokio::time::Instant::now() + MIN_FLUSH), close(journal)).await.is_ok()
        }
        None => true,
    };
    info!(logger, "stopped"; "drained" => drained, "flushed" => flushed);
    drop(whereabouts);
    // The drain has closed or given up every connection, so there is nothing left to wait for.
    drop(handle.stop(false));
    Ok(())
}

fn proxies(config: &Config, dialer: &Dialer, metrics: &Metrics, logger: &Logger) -> Result<Vec<ProxyPlan>, StartError> {
    let plan = |proxy: &ProxyConfig| {
        let queue_bytes = config.connection.outbox_bytes;
        let plan = ProxyPlan::new(proxy, queue_bytes, dialer.clone(), metrics, logger.clone());
        plan.ok_or_else(|| StartError::Config(format!("a proxy cannot be called {:?}", proxy.id)))
    };
    let is_open = matches!(config.gate.auth.mode, AuthMode::Open);
    // Without AUTH=off the proxy would be off (X5).
    for ProxyConfig { id, .. } in
        config.proxies.iter().filter(|proxy| is_open && proxy.spends_credential && proxy.off.is_none())
    {
        warn!(logger, "[Proxy {id}] anybody may spend the server's credential here: AUTH=off, and no JWT_SECRET"; "proxy" => id);
    }
    config.proxies.iter().map(plan).collect()
}

fn start_fetching(config: &Config, tokens: Option<&Arc<Tokens>>, logger: &Logger) {
    if let (AuthMode::Jwt(settings), Some(tokens)) = (&config.gate.auth.mode, tokens)
        && !settings.jwks_urls.is_empty()
    {
        actix_rt::spawn(keep_fetching(settings.jwks_urls.clone(), tokens.clone(), logger.clone()));
    }
}

/// Starts the registry on this thread and each shard on its own thread.
fn start_actors(
    plan: impl Fn(RoomEvents) -> ShardPlan,
    config: &Arc<Config>,
    metrics: &Arc<Metrics>,
    logger: &Logger,
    phase: &Arc<watch::Sender<ServerPhase>>,
) -> Result<(Addr<Registry>, Vec<Addr<Shard>>), StartError> {
    let mut shards = Vec::with_capacity(config.shards);
    let registry = Registry::create(|context| {
        let address = context.address();
        for index in 0..config.shards {
            let events = RoomEvents { opened: address.clone().recipient(), closed: address.clone().recipient() };
            let plan = plan(events);
            let start = move || Shard::start(index, plan);
            shards.push((Arbiter::new(), start));
        }
        Registry::new(config.clone(), logger.clone(), metrics.clone(), phase.clone())
    });
    let mut addresses = Vec::with_capacity(config.shards);
    for (arbiter, start) in shards {
        let (sender, receiver) = std::sync::mpsc::channel();
        arbiter.spawn_fn(move || {
            let _ = sender.send(start());
        });
        addresses.push(receiver.recv().map_err(|_| io::Error::other("a shard's thread did not start"))?);
    }
    registry.do_send(AttachShards(addresses.clone()));
    Ok((registry, addresses))
}
