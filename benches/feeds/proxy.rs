//! Owns the measurement of a proxy: sessions that send to an echo at a steady pace, straight,
//! through a bare relay, or through the server.

use std::{
    cell::RefCell,
    io,
    net::SocketAddr,
    rc::Rc,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::{net::tcp::OwnedWriteHalf, task::LocalSet, time};

use super::{
    bare, echo,
    kit::{
        figures::percentile,
        server::{self, Server},
        socket::{Reader, masked_text, number, open, put},
    },
};

const TIME_DIGITS: usize = 13;
/// Bytes of a frame's payload, about what 20 ms of compressed speech take.
const PAYLOAD_BYTES: usize = 400;
const WARM_UP: Duration = Duration::from_secs(2);
/// Between two looks at what is due.
const PAUSE: Duration = Duration::from_micros(150);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Straight,
    Bare,
    Proxied,
}

impl Way {
    pub fn name(self) -> &'static str {
        match self {
            Self::Straight => "straight",
            Self::Bare => "bare",
            Self::Proxied => "proxied",
        }
    }
}

pub struct Figures {
    /// Frames that came back, a second.
    pub frames: f64,
    /// From the write to the read of the same frame, in milliseconds.
    pub p50: f64,
    pub p99: f64,
    /// Microseconds of the server's CPU for each frame there and back.
    pub cpu: f64,
    pub server_cores: f64,
    pub own_cores: f64,
    /// Frames that did not come back.
    pub lost: u64,
}

#[derive(Default)]
struct Tally {
    measuring: bool,
    latencies: Vec<u64>,
    back: u64,
}

/// # Errors
/// When the server does not start or refuses sessions.
pub async fn run(way: Way, sessions: usize, rate: u64, time: Duration) -> io::Result<Figures> {
    let echo = echo::start()?;
    let url = format!("ws://{echo}/v1/realtime");
    let config = tempfile::NamedTempFile::new()?;
    let proxies =
        format!("proxies: {{ openai: {{ budget: {{ sessions: {sessions}, sessions_per_player: {sessions} }} }} }}\n");
    std::fs::write(config.path(), proxies)?;
    let path = config.path().to_str().ok_or_else(|| io::Error::other("a path that is not UTF-8"))?;
    let settings = [
        ("AUTH", "off"),
        ("DURABILITY", "memory"),
        ("OPENAI_API_KEY", "bench"),
        ("OPENAI_REALTIME_URL", &url),
        ("CONFIG_FILE", path),
    ];
    let server = Server::start(&settings)?;
    let (addresses, path) = match way {
        Way::Straight => (vec![echo], "/v1/realtime"),
        Way::Bare => (bare::start(echo)?, "/v1/realtime"),
        Way::Proxied => (vec![server.address], "/proxy/openai"),
    };
    let local = LocalSet::new();
    local.run_until(load(&server, &addresses, path, sessions, rate, time)).await
}

async fn load(
    server: &Server,
    addresses: &[SocketAddr],
    path: &str,
    sessions: usize,
    rate: u64,
    time: Duration,
) -> io::Result<Figures> {
    let (clock, tally) = (Instant::now(), Rc::new(RefCell::new(Tally::default())));
    let sent = Arc::new(AtomicU64::new(0));
    let mut writers = Vec::new();
    for index in 0..sessions {
        let (reader, writer, _) = open(addresses[index % addresses.len()], index, path).await?;
        tokio::task::spawn_local(watch(reader, tally.clone(), clock));
        writers.push(writer);
    }
    let counted = Arc::downgrade(&sent);
    thread::spawn(move || send(writers, rate, &counted, clock));
    time::sleep(WARM_UP).await;
    let (before, own_before, begun) = (server.cpu()?, server::own_cpu()?, Instant::now());
    tally.borrow_mut().measuring = true;
    time::sleep(time).await;
    tally.borrow_mut().measuring = false;
    let (seconds, after, own_after) = (begun.elapsed().as_secs_f64(), server.cpu()?, server::own_cpu()?);
    let sent = sent.load(Ordering::Relaxed);
    let deadline = Instant::now() + Duration::from_secs(5);
    while tally.borrow().back < sent && Instant::now() < deadline {
        time::sleep(Duration::from_millis(10)).await;
    }
    let mut tally = tally.borrow_mut();
    tally.latencies.sort_unstable();
    let milliseconds = |share| percentile(&tally.latencies, share) as f64 / 1e6;
    let (frames, cpu) = (tally.latencies.len() as f64, after.process - before.process);
    Ok(Figures {
        frames: frames / seconds,
        p50: milliseconds(0.5),
        p99: milliseconds(0.99),
        cpu: cpu * 1e6 / frames.max(1.0),
        server_cores: cpu / seconds,
        own_cores: (own_after - own_before) / seconds,
        lost: sent.saturating_sub(tally.back),
    })
}

/// All sessions in turn, so that they are spread over time as they would be: on a thread of its
/// own, because the runtime's timers tick once a millisecond, and a burst of everything that is due
/// by then is not a real load.
fn send(writers: Vec<OwnedWriteHalf>, rate: u64, sent: &Weak<AtomicU64>, clock: Instant) {
    let text = format!("{{\"type\":\"echo\",\"ns\":\"{0:0>TIME_DIGITS$}\",\"audio\":\"{0:x>PAYLOAD_BYTES$}\"}}", 0);
    let mut frame = masked_text(&text);
    let at = frame.len() - text.len() + text.find("ns\":\"").map_or(0, |at| at + 5);
    let (begun, mut made) = (Instant::now(), 0_u64);
    let pace = rate as f64 * writers.len() as f64;
    // The measurement that counts holds it as long as it goes on.
    while let Some(sent) = sent.upgrade() {
        let due = (begun.elapsed().as_secs_f64() * pace) as u64;
        while made < due {
            put(&mut frame[at..][..TIME_DIGITS], clock.elapsed().as_nanos() as u64);
            match writers[made as usize % writers.len()].try_write(&frame) {
                Ok(written) if written == frame.len() => drop(sent.fetch_add(1, Ordering::Relaxed)),
                // Half a frame would break the framing, and whatever came behind it.
                Ok(_) => return,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
            made += 1;
        }
        drop(sent);
        thread::sleep(PAUSE);
    }
}

async fn watch(mut reader: Reader, tally: Rc<RefCell<Tally>>, clock: Instant) {
    let mut look = |frame: &[u8]| {
        let Some(sent) = frame.strip_prefix(br#"{"type":"echo","ns":""#).and_then(|rest| number(&rest[..TIME_DIGITS]))
        else {
            return;
        };
        let mut tally = tally.borrow_mut();
        tally.back += 1;
        if tally.measuring {
            tally.latencies.push((clock.elapsed().as_nanos() as u64).saturating_sub(sent));
        }
    };
    while reader.frames(&mut look).await.is_ok() {}
}
