//! Owns the chaos test: real clients and the real binary, a network that cuts, and `kill -9` every
//! few seconds. CHAOS_MESSAGES and CHAOS_SECONDS make it longer, TEST_SEED repeats its decisions.

#![allow(unreachable_pub)] // A program has no API: `pub` is what another module of it may use.

mod client;
mod line;
mod oracle;
mod oracle_tests;
mod proxy;
mod script;
// The harness of the contract's tests; this one needs little of it.
#[allow(dead_code, unused_imports)]
#[path = "../contract/support/mod.rs"]
mod support;
mod witness;

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use client::{Client, Run, Tally};
use fastrand::Rng;
use proxy::Proxy;
use script::{ROOMS, SEATS, Script};
use support::{Server, seed};
use witness::Witness;

/// Numbered frames that all clients send together, unless CHAOS_MESSAGES says otherwise.
const MESSAGES: u64 = 50_000;
/// Seconds over which they are spread, unless CHAOS_SECONDS says otherwise; the run takes a little
/// longer.
const SECONDS: u64 = 30;

fn setting(name: &str, default: u64) -> u64 {
    let value = std::env::var(name).ok().filter(|text| !text.is_empty());
    value.map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// The server, again and again on the same data.
struct House {
    data: tempfile::TempDir,
    server: Option<Server>,
    kills: usize,
    restarts: usize,
}

impl House {
    fn open(&mut self, proxy: &Proxy) {
        let data = self.data.path().to_str().expect("a path in UTF-8");
        let server = Server::start(&[
            ("DATA_DIR", data),
            ("DURABILITY", "journal"),
            ("MESSAGE_RATE", "1000000"),
            ("BYTE_RATE", "1024m"),
            ("BYTE_BURST", "1024m"),
            ("MESSAGE_BURST", "1000000"),
            ("RATE_LIMIT_MAX_REQUESTS", "1000000"),
            ("WS_PING_INTERVAL", "1"),
            ("WS_PING_TIMEOUT", "2"),
            ("OUTBOX_BYTES", "256k"),
            ("RECONNECT_GRACE", "86400"),
            ("HISTORY_EVENTS", "10000000"),
            ("HISTORY_BYTES", "1024m"),
            ("HISTORY_AGE", "86400"),
            ("DRAIN_TIMEOUT", "1"),
            ("DRAIN_SPREAD_MS", "200"),
        ]);
        proxy.lead_to(server.port);
        self.server = Some(server);
    }

    /// Mostly `kill -9`, at times a planned restart; open again at once.
    fn reopen(&mut self, proxy: &Proxy, random: &mut Rng) {
        let Some(mut server) = self.server.take() else { return };
        if random.u32(..5) > 0 {
            proxy.lead_to(0);
            server.signal("KILL");
            server.wait();
            self.kills += 1;
        } else {
            server.signal("TERM");
            let status = server.wait();
            proxy.lead_to(0);
            assert_eq!(status.code(), Some(0), "D4: a planned stop; its log:\n{}", server.log_text());
            self.restarts += 1;
        }
        drop(server);
        self.open(proxy);
    }
}

/// Whatever ends the test ends the clients, which its scope waits for.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

#[test]
fn r5_s1_s2_d1_through_cuts_stalls_and_kills_every_client_sees_everything_once_and_every_id_is_applied_once() {
    let seed = seed();
    let mut random = Rng::with_seed(seed);
    let share = setting("CHAOS_MESSAGES", MESSAGES).div_ceil((ROOMS * SEATS) as u64);
    let spread = Duration::from_secs(setting("CHAOS_SECONDS", SECONDS).max(1));
    let with_kills = setting("CHAOS_KILLS", 1) > 0;
    let proxy = Proxy::start(random.fork());
    let data = tempfile::tempdir().expect("a directory");
    let mut house = House { data, server: None, kills: 0, restarts: 0 };
    house.open(&proxy);
    let run = Run {
        script: Script { seed, share },
        port: proxy.port,
        began: Instant::now(),
        spread,
        strangers: AtomicUsize::new(ROOMS * (SEATS + 1)),
        unfinished: AtomicUsize::new(ROOMS * SEATS),
        stop: AtomicBool::new(false),
        wrong: Mutex::default(),
    };
    let deadline = run.began + 4 * spread + Duration::from_secs(120);

    let mut seen: Vec<(Vec<Witness>, Tally)> = Vec::new();
    thread::scope(|scope| {
        let _stop = StopOnDrop(&run.stop);
        let mut clients = Vec::new();
        for (room, seat) in (0..ROOMS).flat_map(|room| (0..=SEATS).map(move |seat| (room, seat))) {
            let client = Client::new(&run, room, (seat < SEATS).then_some(seat), random.fork());
            clients.push(scope.spawn(move || client.play()));
        }
        // The first blow falls while they arrive.
        let mut next_blow = Instant::now() + Duration::from_millis(random.u64(..150));
        while clients.iter().any(|client| !client.is_finished()) {
            if Instant::now() > deadline && !run.is_stopped() {
                run.fail("it took too long".to_owned());
            }
            // A first welcome that is lost leaves a session that its player has never heard of:
            // faults come after.
            proxy.set_faults(run.strangers.load(SeqCst) == 0 && !run.is_finished());
            if with_kills && !run.is_finished() && Instant::now() >= next_blow {
                house.reopen(&proxy, &mut random);
                next_blow = Instant::now() + Duration::from_millis(random.u64(2_000..5_000));
            }
            thread::sleep(Duration::from_millis(10));
        }
        seen.extend(clients.into_iter().map(|client| client.join().expect("a client")));
    });
    let seconds = run.began.elapsed().as_secs_f64();

    let (witnesses, tallies): (Vec<_>, Vec<_>) = seen.into_iter().unzip();
    let witnesses: Vec<Witness> = witnesses.into_iter().flatten().collect();
    let mut wrong = run.wrong.into_inner().expect("wrong");
    if wrong.is_empty() {
        for room in 0..ROOMS {
            let room: Vec<_> = witnesses.iter().filter(|witness| witness.room == room).collect();
            wrong.extend(oracle::judge(&run.script, &room));
        }
    } else {
        let unfinished = witnesses.iter().filter(|witness| witness.seat.is_some());
        wrong.extend(unfinished.map(|witness| witness.missing(&run.script)));
    }
    let resumes: usize = tallies.iter().map(|tally| tally.resumes).sum();
    let mut ends = BTreeMap::new();
    for (code, count) in tallies.iter().flat_map(|tally| &tally.ends) {
        *ends.entry(*code).or_insert(0) += count;
    }
    let cuts = proxy.tally().cuts.load(Relaxed);
    eprintln!(
        "seed {seed}: {} messages sent, {} events seen in {seconds:.1} s; {} kills, {} planned restarts, {} connections, \
         {} refused, {cuts} cuts, {} stalls, {} splits, {resumes} resumes, ends by code (0: left by the client) {ends:?}",
        share * (ROOMS * SEATS) as u64,
        witnesses.iter().map(|witness| witness.log.len()).sum::<usize>(),
        house.kills,
        house.restarts,
        proxy.tally().connections.load(Relaxed),
        proxy.tally().refused.load(Relaxed),
        proxy.tally().stalls.load(Relaxed),
        proxy.tally().splits.load(Relaxed),
    );
    let shown = wrong.len().min(40);
    assert!(wrong.is_empty(), "TEST_SEED={seed}: {} findings:\n{}", wrong.len(), wrong[..shown].join("\n"));
    let blows = house.kills + house.restarts;
    assert!(cuts >= 20 && resumes >= ROOMS * SEATS, "{cuts} cuts and {resumes} resumes: the test did not test much");
    assert!(!with_kills || house.kills >= 3, "{} kills of {blows} blows: the test did not test much", house.kills);
}
