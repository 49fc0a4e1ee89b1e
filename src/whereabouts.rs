//! Owns the file in the data directory that holds the server's HTTP URL, so that commands find a
//! server whose port the system chose.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read as _, Write as _},
    net::SocketAddr,
    path::Path,
};

use url::Url;

use crate::store::private;

const FILE: &str = "innkeeper.url";

/// Held while the server runs. The lock shows that it runs: the file of a killed server stays
/// behind.
pub(crate) struct Whereabouts {
    _file: File,
}

impl Whereabouts {
    /// Writes the server's URL.
    ///
    /// # Errors
    /// When the directory cannot be written, or another server holds the file.
    pub(crate) fn write(dir: &Path, url: &str) -> io::Result<Self> {
        private::create_dir(dir)?;
        let path = dir.join(FILE);
        let mut file = private::options().read(true).write(true).create(true).truncate(false).open(path)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => io::Error::other("another server has the file"),
            TryLockError::Error(error) => error,
        })?;
        file.set_len(0)?;
        writeln!(file, "{url}")?;
        Ok(Self { _file: file })
    }
}

/// Returns the HTTP URL of the running server of this data directory, if there is one.
pub(crate) fn running(dir: &Path) -> Option<String> {
    let mut file = OpenOptions::new().read(true).open(dir.join(FILE)).ok()?;
    // A shared lock, so that two commands at once do not mistake each other for the server.
    if !matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)) {
        return None;
    }
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    let url = text.trim();
    Url::parse(url).is_ok_and(|url| url.scheme() == "http").then(|| url.to_owned())
}

/// Returns the URL by which this machine reaches a server that listens at `address`; loopback if it
/// listens on every address.
pub(crate) fn url(address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        format!("http://127.0.0.1:{}", address.port())
    } else {
        format!("http://{address}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_found_while_it_runs_and_not_when_it_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(running(dir.path()), None);
        let held = Whereabouts::write(dir.path(), "http://127.0.0.1:4711").unwrap();
        assert_eq!(running(dir.path()).as_deref(), Some("http://127.0.0.1:4711"));
        assert!(Whereabouts::write(dir.path(), "http://127.0.0.1:1").is_err(), "another server");
        drop(held);
        assert_eq!(running(dir.path()), None, "the file of a server that was killed");
    }

    #[test]
    fn a_server_on_every_address_is_reached_over_loopback() {
        let at = |text: &str| url(text.parse().unwrap());
        assert_eq!(at("[::]:8080"), "http://127.0.0.1:8080");
        assert_eq!(at("0.0.0.0:8080"), "http://127.0.0.1:8080");
        assert_eq!(at("192.0.2.1:8080"), "http://192.0.2.1:8080");
        assert_eq!(at("[::1]:8080"), "http://[::1]:8080");
    }
}
