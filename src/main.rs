//! Owns the command line; everything else is in the library.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
    time::{Duration, SystemTime},
};

use clap::{Parser, Subcommand};
use innkeeper::{
    Config, Innkeeper, StartError,
    config::Overrides,
    internals::{
        Call, CallError, EmbeddedStore, InspectError, Inspection, LoadFailure, LoadOptions, MintedClaims, call,
        inspect, load, mint, parse_ttl,
    },
};

/// `EX_USAGE` of sysexits.h: the configuration is invalid, so a restart does not help.
const EXIT_USAGE: u8 = 64;

/// What `innkeeper load` exits with when its arguments are wrong; 1 says that a limit was broken.
const EXIT_LOAD_USAGE: u8 = 2;

/// A real-time game and session server. Settings come from the environment and config.yaml; see the
/// README.
#[derive(Parser)]
#[command(version, disable_help_subcommand = true)]
struct Arguments {
    /// The port to listen on, over PORT, WS_PORT and HTTP_PORT; 0 takes any free one
    #[arg(long)]
    port: Option<u16>,
    /// The address to listen on, over HOST
    #[arg(long)]
    host: Option<String>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Look into the data directory of a server that does not run
    Rooms {
        /// The data directory, over DATA_DIR
        #[arg(long, global = true)]
        data_dir: Option<PathBuf>,
        #[command(subcommand)]
        what: RoomsCommand,
    },
    /// Ask the running server: finds its port and its key, prints the answer's body
    ///
    /// The exit code is 0 for a status below 400, 4 for one of 4xx, 5 for one of 5xx, and 1 when
    /// there is no answer.
    Api {
        /// GET, POST, DELETE …
        method: String,
        /// Such as /api/games/test-game/events
        path: String,
        /// JSON; - reads it from stdin
        body: Option<String>,
        /// A header, such as 'Idempotency-Key: goal-17'; may be given again
        #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
        headers: Vec<String>,
        /// Another server than that of the settings, such as https://play.example
        #[arg(long)]
        url: Option<String>,
    },
    /// Print a token for a player, signed with JWT_SECRET
    Token {
        /// Whom it is for: an id
        #[arg(long)]
        player: String,
        /// A game that it admits; may be given again; without it all
        #[arg(long = "game")]
        games: Vec<String>,
        /// A hub that it admits; may be given again; without it all
        #[arg(long = "hub")]
        hubs: Vec<String>,
        /// A proxy that it admits; may be given again; without it all
        #[arg(long = "proxy")]
        proxies: Vec<String>,
        /// player, spectator, admin, or a role that a hub or proxy names; without it player
        #[arg(long)]
        role: Option<String>,
        /// A name to show in place of the id
        #[arg(long)]
        name: Option<String>,
        /// How long it lives: 90s, 15m, 12h or 7d
        #[arg(long, default_value = "1h", value_parser = parse_ttl)]
        ttl: Duration,
    },
    /// Load a server with players, check all that it tells them, and measure
    ///
    /// The exit code is 0 if all limits were held, 1 if one was broken or the players could not
    /// join, and 2 for wrong arguments.
    Load(Box<LoadOptions>),
}

#[derive(Subcommand)]
enum RoomsCommand {
    /// One line for each room
    List,
    /// One room as JSON: epoch, seq, players, state
    Show { game: String },
    /// The events of one room, or of all, as JSON lines
    Export { game: Option<String> },
    /// Whether every room's log is whole; if not, the exit code is 1
    Verify,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            let is_load = std::env::args_os().nth(1).is_some_and(|first| first == "load");
            let usage = if is_load { EXIT_LOAD_USAGE } else { EXIT_USAGE };
            return if error.use_stderr() { usage.into() } else { ExitCode::SUCCESS };
        }
    };
    let overrides = Overrides { host: arguments.host, port: arguments.port };
    let config = match Config::load(overrides) {
        Ok(config) => config,
        Err(problems) => {
            eprintln!("innkeeper: the configuration has problems:\n{problems}");
            return EXIT_USAGE.into();
        }
    };
    match arguments.command {
        None => {}
        Some(Command::Rooms { data_dir, what }) => return rooms(data_dir.unwrap_or(config.store.data_dir), what),
        Some(Command::Api { method, path, body, headers, url }) => {
            return api(&config, &Call { method, path, body, headers, url });
        }
        Some(Command::Token { player, games, hubs, proxies, role, name, ttl }) => {
            return token(&config, &MintedClaims { player, games, hubs, proxies, role, name, ttl });
        }
        Some(Command::Load(options)) => return load_server(&config, *options),
    }
    match Innkeeper::new(config).run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("innkeeper: {error}");
            match error {
                StartError::Config(_) => EXIT_USAGE.into(),
                StartError::Store(_) | StartError::Io(_) => ExitCode::FAILURE,
            }
        }
    }
}

fn rooms(data_dir: PathBuf, what: RoomsCommand) -> ExitCode {
    let inspection = match what {
        RoomsCommand::List => Inspection::List,
        RoomsCommand::Show { game } => Inspection::Show(game),
        RoomsCommand::Export { game } => Inspection::Export(game),
        RoomsCommand::Verify => Inspection::Verify,
    };
    let inspected = EmbeddedStore::open_existing(&data_dir)
        .map_err(|error| InspectError::Store(error.to_string()))
        .and_then(|mut opened| {
            opened.notes.iter().for_each(|note| eprintln!("innkeeper: {note}"));
            inspect(&mut opened.store, &inspection, &mut io::BufWriter::new(io::stdout().lock()))
        });
    match inspected {
        Ok(()) => ExitCode::SUCCESS,
        // The reader closed the pipe early, as in `innkeeper rooms export | head`.
        Err(InspectError::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("innkeeper: {error}");
            ExitCode::FAILURE
        }
    }
}

fn api(config: &Config, asked: &Call) -> ExitCode {
    match call(config, asked, &mut io::stdout().lock()) {
        Ok(..400) => ExitCode::SUCCESS,
        Ok(status) => {
            eprintln!("innkeeper: the server answered {status}");
            ExitCode::from(if status < 500 { 4 } else { 5 })
        }
        Err(error) => {
            eprintln!("innkeeper: {error}");
            if matches!(error, CallError::Usage(_)) { EXIT_USAGE.into() } else { ExitCode::FAILURE }
        }
    }
}

fn token(config: &Config, claims: &MintedClaims) -> ExitCode {
    match mint(config, claims, SystemTime::now()) {
        Ok(token) => match writeln!(io::stdout(), "{token}") {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("innkeeper: cannot print the token: {error}");
                ExitCode::FAILURE
            }
        },
        Err(why) => {
            eprintln!("innkeeper: {why}");
            // A misspelt JWT_SECRET may be the cause; the warnings name it.
            config.warnings.iter().for_each(|warning| eprintln!("innkeeper: {} {}", warning.name, warning.message));
            EXIT_USAGE.into()
        }
    }
}

fn load_server(config: &Config, options: LoadOptions) -> ExitCode {
    match load(options, config, &mut io::stdout().lock()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("innkeeper: {error}");
            if matches!(error, LoadFailure::Usage(_)) { EXIT_LOAD_USAGE.into() } else { ExitCode::FAILURE }
        }
    }
}
