//! Owns the clock of a load's thread and a timer for it that is finer than tokio's milliseconds.

use std::time::{Duration, Instant};

/// Nanoseconds since the run began.
#[derive(Debug, Clone, Copy)]
pub(super) struct RunClock(Instant);

impl RunClock {
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    pub(super) fn now(self) -> u64 {
        self.0.elapsed().as_nanos() as u64
    }

    /// The moment in tokio's terms, for waits that may be a millisecond late.
    pub(super) fn at(self, nanoseconds: u64) -> tokio::time::Instant {
        (self.0 + Duration::from_nanos(nanoseconds)).into()
    }
}

#[cfg(target_os = "linux")]
mod precise {
    use std::{io, os::fd::OwnedFd};

    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
    };
    use tokio::io::{Interest, unix::AsyncFd};

    use super::RunClock;

    /// A timer of the kernel: it is late by some ten microseconds.
    pub(crate) struct Alarm(AsyncFd<OwnedFd>);

    impl Alarm {
        // The successor is unsafe for types whose descriptor may change; that of `OwnedFd` does
        // not.
        #[allow(deprecated)]
        pub(crate) fn new() -> io::Result<Self> {
            let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
            AsyncFd::with_interest(timer, Interest::READABLE).map(Self)
        }

        /// Waits until then; may be woken early.
        pub(crate) async fn sleep_until(&self, clock: RunClock, due: u64) -> io::Result<()> {
            let left = due.saturating_sub(clock.now());
            if left == 0 {
                return Ok(());
            }
            let value = Timespec { tv_sec: (left / 1_000_000_000) as i64, tv_nsec: (left % 1_000_000_000) as _ };
            let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
            // Setting it anew also forgets the last expiry, so nothing has to be read.
            timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::empty(), &once)?;
            self.0.readable().await?.clear_ready();
            Ok(())
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod coarse {
    use std::io;

    use super::RunClock;

    /// Tokio's timer: it is late by up to a millisecond, which counts as latency.
    pub struct CoarseAlarm;

    impl CoarseAlarm {
        pub fn new() -> io::Result<Self> {
            Ok(Self)
        }

        /// Waits until then.
        pub async fn sleep_until(&self, clock: RunClock, due: u64) -> io::Result<()> {
            tokio::time::sleep_until(clock.at(due)).await;
            Ok(())
        }
    }
}

#[cfg(not(target_os = "linux"))]
pub use coarse::CoarseAlarm as Alarm;
#[cfg(target_os = "linux")]
pub(super) use precise::Alarm;
