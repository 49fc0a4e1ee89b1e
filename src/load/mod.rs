//! Owns the command `innkeeper load`: it loads a server, checks all that the server says, and tells
//! what it found.

mod alarm;
mod check;
mod control;
mod hook;
mod message;
mod notice;
mod options;
mod plan;
mod player;
mod progress;
mod result;
mod schedule;
mod session;
mod shared;
mod soak;
mod tally;
mod target;
mod tokens;
mod units;
mod usage;
mod verdict;
mod worker;

use std::io::{self, Write};

use serde_json::{Value, json};

pub use self::options::LoadOptions;
use self::plan::LoadPlan;
use crate::config::Config;

/// Why a load has no result.
#[derive(Debug)]
pub enum LoadFailure {
    /// The options are invalid; the message says what to write.
    Usage(String),
    /// Players could not join, or the system refuses something.
    Failed(String),
}

impl std::fmt::Display for LoadFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Usage(message) | Self::Failed(message)) = self;
        f.write_str(message)
    }
}

/// Runs a load, prints its result, and returns true if all limits were held.
///
/// # Errors
/// [`LoadFailure`].
pub fn load(options: LoadOptions, config: &Config, out: &mut dyn Write) -> Result<bool, LoadFailure> {
    let plan = LoadPlan::new(options, config).map_err(LoadFailure::Usage)?;
    let (plan, result) = control::run(plan)?;
    let checks = verdict::checks(&plan.options, &result);
    let is_held = checks.iter().all(|check| check.is_held);
    let printed = if plan.options.json {
        let mut object = result.json(&plan, &checks);
        if let Value::Object(fields) = &mut object {
            fields.insert("passed".to_owned(), json!(is_held));
        }
        writeln!(out, "{object:#}").and_then(|()| out.flush())
    } else {
        result.write_words(&plan, &checks, out)
    };
    match printed {
        // The reader closed the pipe early, as in `innkeeper load … | head`.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(LoadFailure::Failed(format!("cannot print the result: {error}")))
        }
        _ => Ok(is_held),
    }
}
