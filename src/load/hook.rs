//! Owns the commands that run in the middle of a load, such as a deploy or a kill.

use std::{
    io,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// A command, when it runs, and what became of it.
pub(super) struct Hook {
    at: Duration,
    pub command: String,
    state: HookState,
}

enum HookState {
    Waiting,
    Running(Child),
    /// In words, and whether it is well.
    Ended(String, bool),
}

impl Hook {
    pub(super) fn new(at: Duration, command: String) -> Self {
        Self { at, command, state: HookState::Waiting }
    }

    /// Starts the command once its time has come, `since` the start of the measuring.
    pub(super) fn watch(&mut self, since: Duration) {
        match &mut self.state {
            HookState::Waiting if since >= self.at => {
                self.state = match start(&self.command) {
                    Ok(child) => HookState::Running(child),
                    Err(error) => HookState::Ended(format!("it could not be started: {error}"), false),
                };
            }
            HookState::Running(child) => {
                if let Ok(Some(status)) = child.try_wait() {
                    self.state = HookState::Ended(status.to_string(), status.success());
                }
            }
            _ => {}
        }
    }

    /// What became of it, in words, and whether it is well. One that still runs is left to itself.
    pub(super) fn outcome(&self) -> (String, bool) {
        match &self.state {
            HookState::Waiting => ("it did not run: the load ended before".to_owned(), false),
            HookState::Running(_) => ("still running".to_owned(), true),
            HookState::Ended(words, is_well) => (words.clone(), *is_well),
        }
    }

    pub(super) fn at(&self) -> Duration {
        self.at
    }
}

/// What it prints goes to stderr, so that stdout is the result alone.
fn start(command: &str) -> io::Result<Child> {
    Command::new("sh").args(["-c", command]).stdin(Stdio::null()).stdout(io::stderr()).spawn()
}
