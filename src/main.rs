//! Owns the command line; everything else is in the library.
//! Called by whoever starts the server.

use std::process::ExitCode;

use clap::Parser;
use innkeeper::{
    Innkeeper, StartError,
    config::{Config, Overrides},
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
    match Innkeeper::new(config).run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("innkeeper: {error}");
            match error {
                StartError::Config(_) => EXIT_USAGE.into(),
                StartError::Io(_) => ExitCode::FAILURE,
            }
        }
    }
}
