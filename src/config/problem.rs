//! Owns the problems of the settings, printed one per line. With any, the process exits with 64.

use std::fmt;

/// One thing wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The setting, or the alias it was given under; `--host`; `config.yaml` for what is no setting
    /// of the table; a variable that the description of a hub or proxy asks for; or the key in a
    /// description that the file does not hold.
    pub name: String,
    /// What is wrong and what is allowed. One line; holds no secret (A12).
    pub message: String,
}

/// Every problem found. `Display` prints `NAME: what is wrong; what is allowed`, one per line,
/// without a last newline.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    pub(super) fn add(&mut self, name: impl Into<String>, message: impl Into<String>) {
        self.0.push(Problem { name: name.into(), message: message.into() });
    }

    /// As `add`, unless the very same is known: two hubs may ask for one variable.
    pub(super) fn add_once(&mut self, name: &str, message: &str) {
        if !self.0.iter().any(|known| known.name == name && known.message == message) {
            self.add(name, message);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Problem { name, message }) in self.0.iter().enumerate() {
            let newline = if index == 0 { "" } else { "\n" };
            write!(f, "{newline}{name}: {message}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// A value as a problem shows it: quoted, control characters escaped, cut at 60 characters.
pub(super) fn shown(value: &str) -> String {
    let mut cut: String = value.chars().take(60).collect();
    if cut.len() < value.len() {
        cut.push('…');
    }
    format!("{cut:?}")
}
