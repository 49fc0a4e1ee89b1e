//! Owns the contract tests of [`super::Store`]: every store passes the same tests. `homes` lists
//! the stores.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tempfile::TempDir;

use super::{Batch, Change, EmbeddedStore, Log, MemoryStore, Records, Snapshot, Store};
use crate::store::LogName;

/// A store under test.
struct Home {
    name: &'static str,
    store: Option<Box<dyn Store>>,
    dir: Option<TempDir>,
    /// Closed and reopened after every step.
    reopens: bool,
}

impl Home {
    fn store(&mut self) -> &mut dyn Store {
        if self.reopens || self.store.is_none() {
            self.store = None;
            let dir = self.dir.as_ref().expect("only homes with a directory are opened again");
            let opened = EmbeddedStore::open(dir.path(), Duration::ZERO).unwrap();
            assert_eq!(opened.notes, Vec::<String>::new());
            self.store = Some(Box::new(opened.store));
        }
        &mut **self.store.as_mut().unwrap()
    }

    fn append(&mut self, group: &[Batch]) -> Vec<usize> {
        self.store().append(group, false).unwrap()
    }

    fn read(&mut self, game: &str) -> Option<Log> {
        let log = self.store().read(&id(game), 0).unwrap();
        log.map(|log| Log { downtime: Duration::ZERO, ..log })
    }
}

fn homes() -> Vec<Home> {
    let embedded = |name, reopens| Home { name, store: None, dir: Some(tempfile::tempdir().unwrap()), reopens };
    vec![
        Home { name: "memory", store: Some(Box::<MemoryStore>::default()), dir: None, reopens: false },
        embedded("embedded", false),
        embedded("embedded, opened again before every step", true),
    ]
}

fn for_every_home(mut test: impl FnMut(&mut Home)) {
    for mut home in homes() {
        println!("home: {}", home.name);
        test(&mut home);
    }
}

pub(super) fn id(text: &str) -> LogName {
    LogName::parse(text).unwrap()
}

pub(super) fn records<T: AsRef<[u8]>>(bodies: &[T]) -> Records {
    let mut records = Records::default();
    bodies.iter().for_each(|body| records.push_with(|out| out.extend_from_slice(body.as_ref())));
    records
}

pub(super) fn begin(game: &str, snapshot: &str, bodies: &[&str]) -> Batch {
    Batch {
        name: id(game),
        change: Change::Begin { snapshot: snapshot.into(), records: records(bodies), replace: false },
    }
}

pub(super) fn replace(game: &str, snapshot: &str) -> Batch {
    let change = Change::Begin { snapshot: snapshot.into(), records: Records::default(), replace: true };
    Batch { name: id(game), change }
}

pub(super) fn append(game: &str, position: u64, bodies: &[&str]) -> Batch {
    Batch { name: id(game), change: Change::Append { position, records: records(bodies), snapshot: None } }
}

pub(super) fn snapshot(game: &str, position: u64, bodies: &[&str], body: &str, keep_from: u64) -> Batch {
    let snapshot = Some(Snapshot { body: body.into(), keep_from });
    Batch { name: id(game), change: Change::Append { position, records: records(bodies), snapshot } }
}

pub(super) fn remove(game: &str, position: u64) -> Batch {
    Batch { name: id(game), change: Change::Remove { position } }
}

fn log(snapshot: &str, snapshot_position: u64, first: u64, bodies: &[&str]) -> Option<Log> {
    Some(Log {
        snapshot: snapshot.into(),
        snapshot_position,
        first,
        records: records(bodies),
        is_intact: true,
        downtime: Duration::ZERO,
    })
}

#[test]
fn a_log_is_read_as_it_was_written() {
    for_every_home(|home| {
        assert_eq!(home.read("g"), None);
        assert!(home.append(&[begin("g", "s0", &["a", "", "c"])]).is_empty());
        assert_eq!(home.read("g"), log("s0", 0, 0, &["a", "", "c"]));
        assert!(home.append(&[append("g", 3, &["d"]), append("g", 4, &["e", "f"])]).is_empty());
        assert_eq!(home.read("g"), log("s0", 0, 0, &["a", "", "c", "d", "e", "f"]));
        assert_eq!(home.read("other"), None);
    });
}

#[test]
fn a_snapshot_stands_at_the_end_of_its_batch_and_lets_go_of_what_is_before_keep_from() {
    for_every_home(|home| {
        home.append(&[begin("g", "s0", &["0", "1"])]);
        home.append(&[snapshot("g", 2, &["2", "3"], "s4", 1)]);
        assert_eq!(home.read("g"), log("s4", 4, 1, &["1", "2", "3"]));
        // A later snapshot may keep fewer records, but dropped ones do not return.
        home.append(&[snapshot("g", 4, &[], "again", 0)]);
        assert_eq!(home.read("g"), log("again", 4, 1, &["1", "2", "3"]));
        home.append(&[snapshot("g", 4, &["4"], "s5", 99)]);
        assert_eq!(home.read("g"), log("s5", 5, 5, &[]));
        home.append(&[append("g", 5, &["5"])]);
        assert_eq!(home.read("g"), log("s5", 5, 5, &["5"]));
    });
}

#[test]
fn a_log_is_read_from_any_position_on() {
    for_every_home(|home| {
        home.append(&[begin("g", "s0", &["0", "1"]), snapshot("g", 2, &["2", "3"], "s4", 1)]);
        home.append(&[append("g", 4, &["4"])]);
        for (from, first, bodies) in
            [(0, 1, &["1", "2", "3", "4"][..]), (3, 3, &["3", "4"]), (5, 5, &[]), (u64::MAX, 5, &[])]
        {
            let read = home.store().read(&id("g"), from).unwrap().unwrap();
            assert_eq!((read.first, &read.records), (first, &records(bodies)), "from {from}");
            assert_eq!((&read.snapshot[..], read.snapshot_position), (&b"s4"[..], 4));
        }
    });
}

#[test]
fn what_does_not_fit_its_log_is_left_out_and_nothing_else() {
    for_every_home(|home| {
        assert_eq!(home.append(&[append("g", 0, &["x"]), remove("g", 0), begin("g", "s", &["0"])]), [0, 1]);
        let group = [
            begin("g", "other", &[]),
            append("g", 0, &["behind"]),
            append("h", 0, &["nowhere"]),
            append("g", 1, &["1"]),
            append("g", 1, &["twice"]),
            append("g", 3, &["ahead"]),
            remove("g", 1),
            begin("i", "s", &[]),
        ];
        assert_eq!(home.append(&group), [0, 1, 2, 4, 5, 6]);
        assert_eq!(home.read("g"), log("s", 0, 0, &["0", "1"]));
        assert_eq!((home.read("h"), home.read("i")), (None, log("s", 0, 0, &[])));
    });
}

#[test]
fn a_log_that_is_removed_or_replaced_leaves_nothing_behind() {
    for_every_home(|home| {
        home.append(&[begin("g", "s", &["0"]), begin("h", "s", &["0"])]);
        home.append(&[snapshot("g", 1, &["1"], "s2", 0), remove("h", 1)]);
        assert_eq!(home.read("h"), None);
        assert_eq!(home.append(&[append("h", 1, &["x"])]), [0]);
        assert!(home.append(&[begin("h", "new", &["n"])]).is_empty());
        assert_eq!(home.read("h"), log("new", 0, 0, &["n"]));
        assert!(home.append(&[replace("g", "anew")]).is_empty());
        assert_eq!(home.read("g"), log("anew", 0, 0, &[]));
        assert_eq!(home.append(&[append("g", 2, &["of the old one"])]), [0]);
        assert!(home.append(&[append("g", 0, &["x"]), remove("g", 1), replace("g", "once more")]).is_empty());
        assert_eq!(home.read("g"), log("once more", 0, 0, &[]));
    });
}

#[test]
fn games_are_listed_by_name_in_portions() {
    for_every_home(|home| {
        assert_eq!(home.store().logs(None, 10).unwrap(), Vec::<LogName>::new());
        home.append(&[begin("b", "", &[]), begin("a", "", &[]), begin("d", "", &[]), begin("c", "", &[])]);
        home.append(&[remove("c", 0)]);
        assert_eq!(home.store().logs(None, 2).unwrap(), [id("a"), id("b")]);
        assert_eq!(home.store().logs(Some(&id("b")), 2).unwrap(), [id("d")]);
        assert_eq!(home.store().logs(Some(&id("aa")), 1).unwrap(), [id("b")]);
        assert!(home.store().logs(None, 0).unwrap().is_empty());
    });
}

#[test]
fn what_was_written_since_the_home_was_opened_is_not_swept() {
    for mut home in homes().into_iter().filter(|home| !home.reopens) {
        home.append(&[begin("g", "s", &["0"])]);
        assert_eq!(home.store().sweep(10).unwrap(), 0);
        assert_eq!(home.read("g"), log("s", 0, 0, &["0"]));
    }
}

/// A simple model of the contract.
#[derive(Default)]
struct Model(BTreeMap<LogName, ModelLog>);

#[derive(Default)]
struct ModelLog {
    snapshot: (Vec<u8>, usize),
    first: usize,
    /// All records ever written.
    all: Vec<Vec<u8>>,
}

impl Model {
    fn append(&mut self, Batch { name, change }: &Batch) -> bool {
        let bodies = |records: &Records| records.iter().map(<[u8]>::to_vec).collect::<Vec<_>>();
        let fits = |position: &u64| self.0.get(name).is_some_and(|log| log.all.len() as u64 == *position);
        match change {
            Change::Begin { replace: false, .. } if self.0.contains_key(name) => return false,
            Change::Begin { snapshot, records, .. } => {
                let log = ModelLog { snapshot: (snapshot.clone(), 0), first: 0, all: bodies(records) };
                self.0.insert(name.clone(), log);
            }
            Change::Append { position, .. } | Change::Remove { position } if !fits(position) => return false,
            Change::Append { records, snapshot, .. } => {
                let log = self.0.get_mut(name).unwrap();
                log.all.extend(bodies(records));
                if let Some(snapshot) = snapshot {
                    log.snapshot = (snapshot.body.clone(), log.all.len());
                    log.first = log.first.max(log.all.len().min(snapshot.keep_from as usize));
                }
            }
            Change::Remove { .. } => drop(self.0.remove(name)),
        }
        true
    }

    fn read(&self, name: &LogName) -> Option<Log> {
        self.0.get(name).map(|log| Log {
            snapshot: log.snapshot.0.clone(),
            snapshot_position: log.snapshot.1 as u64,
            first: log.first as u64,
            records: records(&log.all[log.first..]),
            is_intact: true,
            downtime: Duration::ZERO,
        })
    }
}

/// A log with sums in place of contents, so that a failure's output is readable.
fn brief(log: Option<Log>) -> Option<impl std::fmt::Debug + PartialEq> {
    let body = |bytes: &[u8]| (bytes.len(), crc32fast::hash(bytes));
    log.map(|log| {
        let records: Vec<_> = log.records.iter().map(body).collect();
        (body(&log.snapshot), log.snapshot_position, log.first, records, log.is_intact)
    })
}

fn random_bytes(random: &mut fastrand::Rng, most: usize) -> Vec<u8> {
    let mut bytes = vec![0; random.usize(..most)];
    random.fill(&mut bytes);
    bytes
}

/// Makes a batch that fits more often than not.
fn random_batch(random: &mut fastrand::Rng, model: &Model, largest: usize) -> Batch {
    let game = id(&format!("g{}", random.u8(..6)));
    let end = model.0.get(&game).map_or(0, |log| log.all.len() as u64);
    let position = if random.u8(..10) == 0 { end.wrapping_add(random.u64(..3)).wrapping_sub(1) } else { end };
    let some = |random: &mut fastrand::Rng| {
        let bodies: Vec<Vec<u8>> = (0..random.usize(..5)).map(|_| random_bytes(random, largest)).collect();
        records(&bodies)
    };
    let body = |random: &mut fastrand::Rng| random_bytes(random, 2 * largest);
    let change = match random.u8(..20) {
        0 => Change::Remove { position },
        1 => Change::Begin { snapshot: body(random), records: some(random), replace: true },
        _ if end == 0 || random.u8(..20) == 0 => {
            Change::Begin { snapshot: body(random), records: some(random), replace: false }
        }
        2..=5 => {
            let keep_from = (end + 3).saturating_sub(random.u64(..20));
            let snapshot = Some(Snapshot { body: body(random), keep_from });
            Change::Append { position, records: some(random), snapshot }
        }
        _ => Change::Append { position, records: some(random), snapshot: None },
    };
    Batch { name: game, change }
}

/// Set `INNKEEPER_TEST_SEED` to repeat a run.
pub(super) fn seed() -> u64 {
    let seed = match std::env::var("INNKEEPER_TEST_SEED") {
        Ok(seed) => seed.parse().expect("a number"),
        Err(_) => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64),
    };
    println!("INNKEEPER_TEST_SEED={seed}");
    seed
}

fn stays_like_the_model(home: &mut Home, random: &mut fastrand::Rng, steps: usize, largest: usize) {
    let mut model = Model::default();
    for step in 0..steps {
        let mut group = Vec::new();
        let mut expected = Vec::new();
        for index in 0..random.usize(1..8) {
            let batch = random_batch(random, &model, largest);
            if !model.append(&batch) {
                expected.push(index);
            }
            group.push(batch);
        }
        assert_eq!(home.append(&group), expected, "{}, step {step}", home.name);
        if random.u8(..8) == 0 && home.dir.is_some() {
            home.store = None;
        }
        if random.u8(..8) == 0 {
            home.store().tend().unwrap();
        }
        let game = id(&format!("g{}", random.u8(..6)));
        let (read, expected) = (brief(home.read(&game.text())), brief(model.read(&game)));
        assert_eq!(read, expected, "{}, step {step}, {game}", home.name);
    }
    let games: Vec<LogName> = model.0.keys().cloned().collect();
    assert_eq!(home.store().logs(None, 100).unwrap(), games, "{}", home.name);
    for game in &games {
        assert_eq!(brief(home.read(&game.text())), brief(model.read(game)), "{}, {game}", home.name);
    }
}

#[test]
fn every_home_behaves_like_the_model_whatever_is_written() {
    let mut random = fastrand::Rng::with_seed(seed());
    for_every_home(|home| {
        let steps = if home.reopens { 40 } else { 300 };
        stays_like_the_model(home, &mut random.fork(), steps, 40);
    });
    // Large records, so that tails are settled all the time.
    for_every_home(|home| stays_like_the_model(home, &mut random.fork(), 60, 40_000));
}
