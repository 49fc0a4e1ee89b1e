//! Owns the neighbours: pairs in rooms of their own, from other addresses, whose messages' way is
//! timed.

use std::{
    cell::RefCell,
    io,
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::{net::tcp::OwnedWriteHalf, task, time};

use super::kit::{
    figures::percentile,
    socket::{Player, Reader, masked_text, number, write_all},
};

/// Enough that each shard of a usual machine has some.
const ROOMS: usize = 8;
/// Probes a second, in all rooms together.
const RATE: u64 = 100;
const DIGITS: usize = 13;

#[derive(Default)]
struct Tally {
    latencies: Vec<u64>,
    sent: u64,
    ended: usize,
}

/// Their tasks end with the connections, which end with the server.
pub struct Neighbours(Rc<RefCell<Tally>>);

/// Of one span of time.
pub struct Figures {
    pub p50: f64,
    pub p99: f64,
    /// Probes that never came, and connections that ended.
    pub lost: u64,
    pub ended: usize,
}

impl Neighbours {
    /// # Errors
    /// When a member is not welcomed.
    pub async fn settle(server: SocketAddr, clock: Instant) -> io::Result<Self> {
        let tally = Rc::new(RefCell::new(Tally::default()));
        for room in 0..ROOMS {
            let listener = Player::join(server, 2 * room, &format!("/ws/quiet-{room}/listener")).await?;
            let speaker = Player::join(server, 2 * room + 1, &format!("/ws/quiet-{room}/speaker")).await?;
            // Dropping it would close the connection.
            listener.writer.forget();
            task::spawn_local(hear(listener.reader, tally.clone(), clock, true));
            task::spawn_local(hear(speaker.reader, tally.clone(), clock, false));
            task::spawn_local(speak(speaker.writer, room, tally.clone(), clock));
        }
        Ok(Self(tally))
    }

    /// What was measured since the last time; waits for what is on its way, which counts in full.
    pub async fn figures(&self, patience: Duration) -> Figures {
        let (sent, deadline) = (self.0.borrow().sent, Instant::now() + patience);
        while (self.0.borrow().latencies.len() as u64) < sent && Instant::now() < deadline {
            time::sleep(Duration::from_millis(5)).await;
        }
        let mut tally = std::mem::take(&mut *self.0.borrow_mut());
        tally.latencies.sort_unstable();
        let milliseconds = |share| percentile(&tally.latencies, share) as f64 / 1e6;
        Figures {
            p50: milliseconds(0.5),
            p99: milliseconds(0.99),
            lost: sent.saturating_sub(tally.latencies.len() as u64),
            ended: tally.ended,
        }
    }
}

/// On a schedule: a probe that waits does not hold back the next one.
async fn speak(writer: OwnedWriteHalf, room: usize, tally: Rc<RefCell<Tally>>, clock: Instant) {
    let mut ticks = time::interval(Duration::from_secs_f64(ROOMS as f64 / RATE as f64));
    time::sleep(Duration::from_millis(1000 / RATE * room as u64)).await;
    loop {
        ticks.tick().await;
        let ns = clock.elapsed().as_nanos();
        let probe = masked_text(&format!(r#"{{"type":"send","data":"ns{ns:0>DIGITS$}"}}"#));
        tally.borrow_mut().sent += 1;
        if write_all(&writer, &probe).await.is_err() {
            return;
        }
    }
}

async fn hear(mut reader: Reader, tally: Rc<RefCell<Tally>>, clock: Instant, is_timing: bool) {
    let mut look = |frame: &[u8]| {
        let at = frame.windows(3).position(|window| window == b"\"ns");
        let ns = at.and_then(|at| number(frame.get(at + 3..at + 3 + DIGITS)?));
        if let (Some(ns), true) = (ns, is_timing) {
            let now = clock.elapsed().as_nanos() as u64;
            tally.borrow_mut().latencies.push(now.saturating_sub(ns));
        }
    };
    while reader.frames(&mut look).await.is_ok() {}
    tally.borrow_mut().ended += 1;
}
