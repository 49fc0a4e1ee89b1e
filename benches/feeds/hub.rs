//! Owns the measurement of a hub: a fake upstream of one topic, and subscribers of it on one
//! thread.

use std::{
    cell::RefCell,
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::{task::LocalSet, time};
use tungstenite::{Message, WebSocket};

use super::kit::{
    figures::percentile,
    server::{self, Server},
    socket::{Player, Reader, masked_text, number, write_all},
};

const TOPIC: &str = "T.O:SPY251219C00650000";
/// Digits of the time that each update carries.
const TIME_DIGITS: usize = 13;
/// Of so many deliveries one is timed: the load generator shares the machine.
const SAMPLED: u64 = 16;
const WARM_UP: Duration = Duration::from_secs(2);

pub struct Figures {
    pub deliveries: f64,
    /// Microseconds of the server's CPU for each delivery.
    pub cpu: f64,
    /// From the upstream's write to a subscriber's read, in milliseconds.
    pub p50: f64,
    pub p99: f64,
    pub server_cores: f64,
    pub own_cores: f64,
    /// Updates that a subscriber did not see because a newer one took their place.
    pub skipped: u64,
}

#[derive(Default)]
struct Tally {
    measuring: bool,
    delivered: u64,
    skipped: u64,
    latencies: Vec<u64>,
    subscribed: usize,
    ended: usize,
}

/// # Errors
/// When the server does not start or refuses subscribers, or one of them is cut off.
pub async fn run(subscribers: usize, rate: u64, time: Duration) -> io::Result<Figures> {
    let clock = Instant::now();
    let upstream = Upstream::start(rate, clock)?;
    let url = format!("ws://{}", upstream.address);
    let server = Server::start(&[("DURABILITY", "memory"), ("MASSIVE_API_KEY", "bench"), ("MASSIVE_WS_URL", &url)])?;
    let tally = Rc::new(RefCell::new(Tally::default()));
    let local = LocalSet::new();
    let figures = local.run_until(async {
        for index in 0..subscribers {
            let player = Player::join(server.address, index, "/ws/options").await?;
            let subscribe = format!(r#"{{"type":"subscribe","topics":["{TOPIC}"]}}"#);
            write_all(&player.writer, &masked_text(&subscribe)).await?;
            // Dropping it would close the connection.
            player.writer.forget();
            tokio::task::spawn_local(watch(player.reader, tally.clone(), clock));
        }
        let deadline = time::Instant::now() + Duration::from_secs(20);
        while tally.borrow().subscribed < subscribers {
            if time::Instant::now() > deadline {
                return Err(io::Error::other("not everybody is subscribed"));
            }
            time::sleep(Duration::from_millis(10)).await;
        }
        upstream.publishing.store(true, Ordering::Relaxed);
        time::sleep(WARM_UP).await;
        let (before, own_before, begun) = (server.cpu()?, server::own_cpu()?, Instant::now());
        *tally.borrow_mut() = Tally { measuring: true, ..Tally::default() };
        time::sleep(time).await;
        tally.borrow_mut().measuring = false;
        let (seconds, after, own_after) = (begun.elapsed().as_secs_f64(), server.cpu()?, server::own_cpu()?);
        let mut tally = tally.borrow_mut();
        if tally.ended > 0 {
            return Err(io::Error::other(format!("{} subscribers were cut off", tally.ended)));
        }
        tally.latencies.sort_unstable();
        let milliseconds = |share| percentile(&tally.latencies, share) as f64 / 1e6;
        let cpu = after.process - before.process;
        Ok(Figures {
            deliveries: tally.delivered as f64 / seconds,
            cpu: cpu * 1e6 / tally.delivered.max(1) as f64,
            p50: milliseconds(0.5),
            p99: milliseconds(0.99),
            server_cores: cpu / seconds,
            own_cores: (own_after - own_before) / seconds,
            skipped: tally.skipped,
        })
    });
    figures.await
}

async fn watch(mut reader: Reader, tally: Rc<RefCell<Tally>>, clock: Instant) {
    let mut last = None;
    let mut look = |frame: &[u8]| {
        let mut tally = tally.borrow_mut();
        if frame.starts_with(br#"{"type":"subscribed""#) {
            tally.subscribed += 1;
        }
        if !frame.starts_with(br#"{"type":"data""#) {
            return;
        }
        let seq = after(frame, b"\"seq\":").and_then(|rest| {
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            number(&rest[..digits])
        });
        let (Some(seq), true) = (seq, tally.measuring) else {
            last = seq;
            return;
        };
        tally.skipped += last.map_or(0, |last| seq.saturating_sub(last + 1));
        last = Some(seq);
        tally.delivered += 1;
        if tally.delivered.is_multiple_of(SAMPLED)
            && let Some(sent) = after(frame, b"\"ns\":\"").and_then(|rest| number(&rest[..TIME_DIGITS]))
        {
            let now = clock.elapsed().as_nanos() as u64;
            tally.latencies.push(now.saturating_sub(sent));
        }
    };
    while reader.frames(&mut look).await.is_ok() {}
    tally.borrow_mut().ended += 1;
}

/// What stands behind the first `what`.
fn after<'a>(frame: &'a [u8], what: &[u8]) -> Option<&'a [u8]> {
    let at = frame.windows(what.len()).position(|window| window == what)?;
    Some(&frame[at + what.len()..])
}

/// Speaks as Massive does, to one connection after another, on threads of its own.
struct Upstream {
    address: SocketAddr,
    publishing: Arc<AtomicBool>,
}

impl Upstream {
    fn start(rate: u64, clock: Instant) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let (address, publishing) = (listener.local_addr()?, Arc::new(AtomicBool::new(false)));
        let is_on = publishing.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let is_on = is_on.clone();
                thread::spawn(move || speak(stream, rate, clock, &is_on));
            }
        });
        Ok(Self { address, publishing })
    }
}

/// Ends with the connection.
fn speak(stream: TcpStream, rate: u64, clock: Instant, is_on: &AtomicBool) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut socket = tungstenite::accept(stream).ok()?;
    let status = |word: &str| format!(r#"[{{"ev":"status","status":"{word}","message":"{word}"}}]"#);
    say(&mut socket, status("connected"))?;
    hear(&mut socket, "auth")?;
    say(&mut socket, status("auth_success"))?;
    hear(&mut socket, "subscribe")?;
    say(&mut socket, status("success"))?;
    while !is_on.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(5));
    }
    let (begun, mut made) = (Instant::now(), 0_u64);
    loop {
        let due = begun + Duration::from_secs_f64(made as f64 / rate as f64);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let ns = clock.elapsed().as_nanos();
        let symbol = &TOPIC[2..];
        say(
            &mut socket,
            format!(
                r#"[{{"ev":"T","sym":"{symbol}","x":302,"p":2.{:02},"s":1,"c":[233],"t":1763740800000,"q":{made},"ns":"{ns:0>TIME_DIGITS$}"}}]"#,
                made % 100
            ),
        )?;
        made += 1;
    }
}

fn say(socket: &mut WebSocket<TcpStream>, text: String) -> Option<()> {
    socket.send(Message::text(text)).ok()
}

/// Reads up to the first frame with this action.
fn hear(socket: &mut WebSocket<TcpStream>, action: &str) -> Option<()> {
    let action = format!(r#""action":"{action}""#);
    while !socket.read().ok()?.into_text().ok()?.contains(&action) {}
    Some(())
}
