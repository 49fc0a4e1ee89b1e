//! Owns what makes a server drain and stop: a signal to the process, or the program that started
//! it.

use std::io;

use tokio::sync::oneshot;

use super::signals::Signals;

pub(super) enum StopSource {
    /// `None` until the signals are installed, which needs the runtime.
    Signal(Option<Signals>),
    /// Comes with a value, and when the sender is dropped.
    Request(oneshot::Receiver<()>),
}

impl StopSource {
    pub(super) fn by_signal() -> Self {
        Self::Signal(None)
    }

    /// # Errors
    /// When the system takes no handler for the signals.
    pub(super) fn install(&mut self) -> io::Result<()> {
        if let Self::Signal(signals) = self {
            *signals = Some(Signals::install()?);
        }
        Ok(())
    }

    /// Resolves when the server has to stop, with the reason for the log.
    pub(super) async fn comes(&mut self) -> &'static str {
        match self {
            Self::Signal(Some(signals)) => signals.first().await,
            Self::Signal(None) => std::future::pending().await,
            Self::Request(requested) => {
                let _ = requested.await;
                "stop"
            }
        }
    }
}
