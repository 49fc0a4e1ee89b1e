//! Owns a server that serves beside the program that started it.

use std::{
    io,
    net::SocketAddr,
    sync::mpsc,
    thread::{self, JoinHandle},
};

use tokio::sync::oneshot;

use super::{Innkeeper, StartError, StopSource};

/// A server that runs on threads of its own. Dropping it makes the server drain and stop, and does
/// not wait for that.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    end: oneshot::Sender<()>,
    thread: JoinHandle<Result<(), StartError>>,
}

impl Running {
    pub(super) fn start(innkeeper: Innkeeper) -> Result<Self, StartError> {
        let (end, requested) = oneshot::channel();
        let (served, address) = mpsc::channel();
        let thread = thread::Builder::new().name("innkeeper".into()).spawn(move || {
            innkeeper.serve_until(StopSource::Request(requested), move |address| {
                let _ = served.send(address);
            })
        })?;
        match address.recv() {
            Ok(address) => Ok(Self { address, end, thread }),
            // The thread ended before it served anybody, so it has an error, or it panicked.
            Err(_) => {
                joined(thread)?;
                Err(StartError::Io(io::Error::other("the server stopped before it served anybody")))
            }
        }
    }

    /// Where players connect; with `PORT=0` the port is the one that the system chose. With
    /// `WS_PORT` and `HTTP_PORT` it is the former.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Drains as on SIGTERM (D4): clients learn when to come back, and everything is
    /// stored. Blocks until that is done, at most `DRAIN_TIMEOUT` and the time the store needs.
    ///
    /// # Errors
    /// When the server's thread panicked.
    pub fn stop(self) -> Result<(), StartError> {
        let _ = self.end.send(());
        joined(self.thread)
    }
}

fn joined(thread: JoinHandle<Result<(), StartError>>) -> Result<(), StartError> {
    thread.join().unwrap_or_else(|_| Err(StartError::Io(io::Error::other("the server's thread panicked"))))
}
