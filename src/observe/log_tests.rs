//! Owns the tests of `log`: flushing, the bounded queue, and a reader of stdout that has gone to
//! sleep.

use std::{
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    time::Instant,
};

use slog::{debug, info, o};

use super::*;

/// A stdout whose reader takes one write at a time. When the reader is gone, writes succeed and
/// vanish.
struct Pipe(SyncSender<String>);

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.send(String::from_utf8_lossy(bytes).into_owned());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn pipe() -> (Pipe, Receiver<String>) {
    let (sender, receiver) = sync_channel(0);
    (Pipe(sender), receiver)
}

/// A stdout that takes everything.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn dropping_the_guard_writes_every_queued_record_in_order_one_per_line() {
    let paper = Paper::default();
    let (logger, guard) = start_with(paper.clone(), Format::Json, Level::Info, 4096);
    for n in 0..1000 {
        info!(logger, "line"; "n" => n, "text" => "a\nb");
        debug!(logger, "below the level");
    }
    drop(guard);
    info!(logger, "after the guard: lost, not a panic");
    let text = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
    assert_eq!(text.lines().count(), 1000);
    for (n, line) in text.lines().enumerate() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!((&line["n"], &line["level"]), (&n.into(), &"info".into()));
    }
}

#[test]
fn a_kv_of_the_statement_beats_the_logger_s_also_across_the_queue() {
    let paper = Paper::default();
    let (logger, guard) = start_with(paper.clone(), Format::Text, Level::Debug, 16);
    let child = logger.new(o!("room" => "old", "shard" => 1));
    info!(child, "m"; "a" => 1, "room" => "new", "b" => 2);
    drop(guard);
    let text = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
    assert!(text.ends_with(" INFO  m shard=1 a=1 room=new b=2\n"), "{text}");
}

#[test]
fn a_full_queue_drops_and_counts_and_the_count_is_logged_once_there_is_room() {
    let (out, reader) = pipe();
    let (logger, guard) = start_with(out, Format::Json, Level::Info, 4);
    let before = dropped_lines();
    let begun = Instant::now();
    for n in 0..100 {
        info!(logger, "line"; "n" => n);
    }
    assert!(begun.elapsed() < Duration::from_secs(60), "logging waited for stdout");
    assert!(dropped_lines() >= before + 95);
    let mut written = vec![reader.recv().unwrap(), reader.recv().unwrap(), reader.recv().unwrap()];
    // The writer is on the fourth record at most: there is room for the report.
    info!(logger, "later");
    let reading = thread::spawn(move || {
        written.extend(reader.iter());
        written
    });
    drop((logger, guard));
    let written = reading.join().unwrap();
    let lines: Vec<serde_json::Value> = written.iter().map(|l| serde_json::from_str(l).unwrap()).collect();
    // One report or several: each has the count of records lost until the writer reached it.
    let reports: Vec<_> = lines.iter().filter(|line| line["count"].is_u64()).collect();
    assert!(!reports.is_empty() && reports.iter().all(|report| report["level"] == "warn"), "the loss is reported");
    let lost: u64 = reports.iter().filter_map(|report| report["count"].as_u64()).sum();
    let kept = lines.iter().filter(|line| line["message"] == "line").count() as u64;
    assert_eq!(lost + kept, 100, "every line is written or counted");
    assert!(lines.iter().any(|line| line["message"] == "later"), "logging goes on");
}

#[test]
fn records_bear_the_moment_they_were_logged_not_the_moment_they_were_written() {
    let (out, reader) = pipe();
    let (logger, guard) = start_with(out, Format::Json, Level::Info, 16);
    info!(logger, "first");
    info!(logger, "second");
    let logged = crate::observe::line::rfc3339(SystemTime::now());
    // RFC 3339 in one zone and one precision sorts as text; wait until the clock shows another
    // millisecond.
    while crate::observe::line::rfc3339(SystemTime::now()) == logged {
        thread::yield_now();
    }
    for _ in 0..2 {
        let line: serde_json::Value = serde_json::from_str(&reader.recv().unwrap()).unwrap();
        assert!(line["timestamp"].as_str().unwrap() <= logged.as_str(), "{line} after {logged}");
    }
    drop(guard);
}

#[test]
fn a_reader_that_never_reads_delays_the_guard_s_drop_by_its_timeout_only() {
    let (out, reader) = pipe();
    let (logger, guard) = start_with(out, Format::Text, Level::Info, 4);
    info!(logger, "stuck");
    let begun = Instant::now();
    drop(guard);
    assert!(begun.elapsed() < FLUSH_TIMEOUT + Duration::from_secs(60));
    drop(reader);
}
