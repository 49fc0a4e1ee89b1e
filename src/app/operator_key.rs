//! Owns the operator key of development mode (A10a): made once, and kept in the data directory for
//! those who may read it.

use std::{
    fs,
    io::{self, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
};

use slog::{Logger, info, warn};

use crate::{
    config::{AuthMode, Config, OPERATOR_KEY_FILE, Secret},
    store::private,
};

/// A shorter text in the file is not a key.
const MIN_KEY_BYTES: usize = 32;

/// The key, and where it is kept.
pub(super) struct OperatorKey {
    pub(super) secret: Secret,
    /// `None`: in this process alone.
    file: Option<PathBuf>,
}

/// The key, if this server has one: not with an operator's secret, not with keys for tokens, whose
/// admins are its operators, and not on a hosted platform, where the file cannot be read.
pub(super) fn operator_key(config: &Config, logger: &Logger) -> Option<OperatorKey> {
    let auth = &config.gate.auth;
    if auth.api_secret.is_some() || config.platform.is_some() || !matches!(auth.mode, AuthMode::Open) {
        return None;
    }
    let dir = &config.store.data_dir;
    Some(match kept(dir) {
        Ok(secret) => OperatorKey { secret, file: Some(config.store.operator_key_file()) },
        Err(error) => {
            warn!(logger, "the operator key cannot be kept in DATA_DIR and ends with this process";
                "directory" => %dir.display(), "error" => %error);
            OperatorKey { secret: new_key(), file: None }
        }
    })
}

impl OperatorKey {
    /// Prints the key's URL on a terminal, whose reader may see the key; a log gets only the file's
    /// name.
    pub(super) fn announce(&self, host: &str, port: u16, logger: &Logger) {
        let mut stdout = io::stdout();
        if stdout.is_terminal() {
            // A failed write means that the terminal is gone.
            let _ = writeln!(stdout, "Dashboard: http://{host}:{port}/dashboard#key={}", self.secret.expose());
        } else if let Some(file) = &self.file {
            info!(logger, "operators show the key in this file"; "file" => %file.display());
        } else {
            warn!(logger, "nobody can read the operator key; set HTTP_API_SECRET, or let DATA_DIR be written");
        }
    }
}

fn kept(dir: &Path) -> io::Result<Secret> {
    private::create_dir(dir)?;
    let path = dir.join(OPERATOR_KEY_FILE);
    match fs::read_to_string(&path) {
        Ok(text) if text.trim().len() >= MIN_KEY_BYTES => {
            // An older file, or one put there by hand, may be readable by others.
            let _ = private::close_file(&path);
            return Ok(Secret::new(text.trim()));
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    // Written beside and renamed, so that no reader sees half a key and a power cut leaves none.
    let beside = dir.join(format!("{}.{}", OPERATOR_KEY_FILE, std::process::id()));
    let key = new_key();
    let written = private::options().write(true).create(true).truncate(true).open(&beside).and_then(|mut file| {
        writeln!(file, "{}", key.expose())?;
        file.sync_all()
    });
    if let Err(error) = written.and_then(|()| fs::rename(&beside, &path)) {
        let _ = fs::remove_file(&beside);
        return Err(error);
    }
    Ok(key)
}

/// 244 random bits, from the system.
fn new_key() -> Secret {
    Secret::new(format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a10a_the_key_is_made_once_and_a_file_that_holds_none_is_replaced() {
        let dir = tempfile::tempdir().expect("a directory");
        let dir = dir.path().join("data");
        let first = kept(&dir).expect("kept");
        assert!(first.expose().len() >= MIN_KEY_BYTES);
        assert_eq!(kept(&dir).expect("kept").expose(), first.expose());
        let path = dir.join(OPERATOR_KEY_FILE);
        for text in ["", "\n", "short"] {
            fs::write(&path, text).expect("a file");
            let next = kept(&dir).expect("kept");
            assert!(next.expose() != first.expose() && next.expose().len() >= MIN_KEY_BYTES);
        }
        assert_eq!(fs::read_dir(&dir).expect("a directory").count(), 1, "nothing else is left there");
    }

    #[test]
    fn a10a_without_a_directory_that_can_be_written_there_is_no_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("file");
        fs::write(&file, "").expect("a file");
        assert!(kept(&file.join("data")).is_err());
    }
}
