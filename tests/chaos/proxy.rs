//! Owns the network of the chaos test: a TCP proxy that splits, delays, stalls and cuts at random
//! bytes. Clients connect to its port, which stays; it forwards to the server's, which changes with
//! each restart.

use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU16, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use fastrand::Rng;

/// What a pump waits at most before it looks whether its connection is over.
const GLANCE: Duration = Duration::from_millis(100);

/// What was done to connections, in numbers.
#[derive(Default)]
pub struct Tally {
    pub connections: AtomicUsize,
    pub refused: AtomicUsize,
    pub stalls: AtomicUsize,
    pub cuts: AtomicUsize,
    pub splits: AtomicUsize,
}

/// The proxy. Its threads end with their connections, the accepting one with the process.
pub struct Proxy {
    pub port: u16,
    way: Arc<Way>,
}

struct Way {
    began: Instant,
    /// The server's port; 0 while it is down.
    server: AtomicU16,
    /// Off: bytes pass as they come.
    faults: AtomicBool,
    tally: Tally,
}

impl Proxy {
    /// `random` is forked once for each connection, in the order in which they are accepted.
    pub fn start(mut random: Rng) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let way = Arc::new(Way {
            began: Instant::now(),
            server: AtomicU16::new(0),
            faults: AtomicBool::new(false),
            tally: Tally::default(),
        });
        let shared = way.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (random, way) = (random.fork(), shared.clone());
                thread::spawn(move || connect(client, random, way));
            }
        });
        Self { port, way }
    }

    /// Where the server listens now; 0: nowhere, and whoever connects is closed.
    pub fn lead_to(&self, port: u16) {
        self.way.server.store(port, Relaxed);
    }

    pub fn set_faults(&self, on: bool) {
        self.way.faults.store(on, Relaxed);
    }

    pub fn tally(&self) -> &Tally {
        &self.way.tally
    }
}

/// One connection, client to server.
struct Link {
    client: TcpStream,
    server: TcpStream,
    /// Cut: neither pump writes again.
    over: AtomicBool,
    /// Both pumps wait until then, in ms since the proxy began.
    stalled_until: AtomicU64,
}

fn connect(client: TcpStream, mut random: Rng, way: Arc<Way>) {
    let port = way.server.load(Relaxed);
    let Some(server) = (port != 0).then(|| TcpStream::connect(("127.0.0.1", port)).ok()).flatten() else {
        way.tally.refused.fetch_add(1, Relaxed);
        return;
    };
    way.tally.connections.fetch_add(1, Relaxed);
    for stream in [&client, &server] {
        let _ = stream.set_nodelay(true);
        let _ = stream.set_read_timeout(Some(GLANCE));
        // A receiver that takes nothing for so long is as good as gone.
        let _ = stream.set_write_timeout(Some(Duration::from_secs(10)));
    }
    let link = Arc::new(Link { client, server, over: AtomicBool::new(false), stalled_until: AtomicU64::new(0) });
    let up = Pump::new(&link, &way, random.fork(), true);
    let down = Pump::new(&link, &way, random, false);
    drop(link);
    thread::spawn(move || up.run());
    down.run();
}

/// One direction of one connection, and what will happen to it.
struct Pump {
    link: Arc<Link>,
    way: Arc<Way>,
    random: Rng,
    /// From the client to the server.
    up: bool,
    /// Delay of every chunk, at most.
    latency_us: u64,
    /// Bytes that still pass before the next fault.
    until_fault: usize,
}

impl Pump {
    fn new(link: &Arc<Link>, way: &Arc<Way>, mut random: Rng, up: bool) -> Self {
        let latency_us = match random.u32(..10) {
            0..6 => 0,
            6..9 => 3_000,
            _ => 20_000,
        };
        let until_fault = distance(&mut random, up);
        Self { link: link.clone(), way: way.clone(), random, up, latency_us, until_fault }
    }

    fn from(&self) -> &TcpStream {
        if self.up { &self.link.client } else { &self.link.server }
    }

    fn to(&self) -> &TcpStream {
        if self.up { &self.link.server } else { &self.link.client }
    }

    /// A socket that fails takes the whole connection with it; one that ends, only this direction.
    fn run(mut self) {
        if self.forward().is_err() && !self.link.over.swap(true, Relaxed) {
            self.shut_down();
        }
    }

    fn forward(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; 16 * 1024];
        while !self.link.over.load(Relaxed) {
            let size = match self.from().read(&mut buffer) {
                Ok(0) => return self.to().shutdown(Shutdown::Write),
                Ok(size) => size,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
                Err(error) => return Err(error),
            };
            if self.way.faults.load(Relaxed) && self.latency_us > 0 {
                let latency = Duration::from_micros(self.random.u64(..self.latency_us));
                self.wait(latency);
            }
            let mut bytes = &buffer[..size];
            while !bytes.is_empty() {
                if self.way.faults.load(Relaxed) && self.until_fault == 0 {
                    if !self.fail() {
                        return Ok(());
                    }
                    self.until_fault = distance(&mut self.random, self.up);
                }
                while self.is_stalled() {
                    self.wait(Duration::from_millis(5));
                }
                if self.link.over.load(Relaxed) {
                    return Ok(());
                }
                let piece = if self.way.faults.load(Relaxed) { self.piece(bytes.len()) } else { bytes.len() };
                self.to().write_all(&bytes[..piece])?;
                self.until_fault = self.until_fault.saturating_sub(piece);
                bytes = &bytes[piece..];
            }
        }
        Ok(())
    }

    /// How many of these bytes go out in the next write.
    fn piece(&mut self, length: usize) -> usize {
        let whole = length.min(self.until_fault);
        if self.random.u32(..8) > 0 {
            return whole;
        }
        self.way.tally.splits.fetch_add(1, Relaxed);
        // Without a pause the receiver would read both pieces as one.
        let pause = Duration::from_micros(self.random.u64(..500));
        self.wait(pause);
        self.random.usize(1..=whole.min(300))
    }

    /// The next fault. `false`: this direction carries nothing more.
    fn fail(&mut self) -> bool {
        let tally = &self.way.tally;
        let kind = self.random.u32(..100);
        let counter = if kind < 60 { &tally.stalls } else { &tally.cuts };
        counter.fetch_add(1, Relaxed);
        match kind {
            0..40 => {
                let nap = nap(&mut self.random);
                self.wait(nap);
            }
            40..60 => {
                let until = self.way.began.elapsed() + nap(&mut self.random);
                self.link.stalled_until.store(until.as_millis() as u64, Relaxed);
            }
            60..70 => {
                // With no time to linger, closing is a RST: it happens when both pumps have let go.
                for stream in [&self.link.client, &self.link.server] {
                    let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
                }
                self.link.over.store(true, Relaxed);
            }
            70..80 => {
                self.link.over.store(true, Relaxed);
                self.shut_down();
            }
            80..87 => {
                let _ = self.to().shutdown(Shutdown::Write);
            }
            // Silence: nothing is read or written in this direction again, and no socket is closed
            // for it.
            87..94 => {}
            _ => {
                // One side is closed, the other left open for a while, as behind a router that lost
                // its table.
                self.link.over.store(true, Relaxed);
                let closed = if self.random.bool() { &self.link.client } else { &self.link.server };
                let _ = closed.shutdown(Shutdown::Both);
                thread::sleep(Duration::from_millis(self.random.u64(..5_000)));
            }
        }
        kind < 60
    }

    fn is_stalled(&self) -> bool {
        let until = self.link.stalled_until.load(Relaxed);
        !self.link.over.load(Relaxed) && self.way.began.elapsed().as_millis() < u128::from(until)
    }

    /// Sleeps, unless the connection is over before.
    fn wait(&self, time: Duration) {
        let until = Instant::now() + time;
        while !self.link.over.load(Relaxed) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            thread::sleep(left.min(GLANCE));
        }
    }

    fn shut_down(&self) {
        let _ = self.link.client.shutdown(Shutdown::Both);
        let _ = self.link.server.shutdown(Shutdown::Both);
    }
}

/// Bytes up to the next fault: sometimes few, so that handshakes and welcomes are hit as well.
fn distance(random: &mut Rng, up: bool) -> usize {
    match random.u32(..10) {
        0 => random.usize(1..1_000),
        _ if up => random.usize(1_000..60_000),
        _ => random.usize(1_000..300_000),
    }
}

/// Mostly short, at times longer than the patience of either end.
fn nap(random: &mut Rng) -> Duration {
    let longest = match random.u32(..10) {
        0..6 => 150,
        6..9 => 1_500,
        _ => 5_000,
    };
    Duration::from_millis(random.u64(10..longest))
}
