//! Owns the command line; everything else is in the library.
//! Called by whoever starts the server.

use std::{io, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use innkeeper::{
    Innkeeper, InspectError, Inspection, StartError,
    config::{Config, Overrides},
    inspect,
    store::EmbeddedStore,
};

/// `EX_USAGE` of sysexits.h: the configuration is wrong, starting again will not help.
const EXIT_USAGE: u8 = 64;

/// A real-time game and session server. Settings come from the environment and config.yaml; see the README.
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
        what: Rooms,
    },
}

#[derive(Subcommand)]
enum Rooms {
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
            return if error.use_stderr() { EXIT_USAGE.into() } else { ExitCode::SUCCESS };
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
    if let Some(Command::Rooms { data_dir, what }) = arguments.command {
        return rooms(data_dir.unwrap_or(config.store.data_dir), what);
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

fn rooms(data_dir: PathBuf, what: Rooms) -> ExitCode {
    let inspection = match what {
        Rooms::List => Inspection::List,
        Rooms::Show { game } => Inspection::Show(game),
        Rooms::Export { game } => Inspection::Export(game),
        Rooms::Verify => Inspection::Verify,
    };
    let inspected = EmbeddedStore::open_existing(&data_dir)
        .map_err(|error| InspectError::Store(error.to_string()))
        .and_then(|mut opened| {
            opened.notes.iter().for_each(|note| eprintln!("innkeeper: {note}"));
            inspect(&mut opened.store, &inspection, &mut io::BufWriter::new(io::stdout().lock()))
        });
    match inspected {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads has read enough: `innkeeper rooms export | head`.
        Err(InspectError::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("innkeeper: {error}");
            ExitCode::FAILURE
        }
    }
}
