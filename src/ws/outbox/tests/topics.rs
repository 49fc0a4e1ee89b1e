//! Owns the tests of a feed's topics in the outbox of a client that does not keep up (H4, H6).

use super::*;

/// Queues one step of `name`'s value, or its whole value. Returns true if it was the step.
fn step(outbox: &Rc<Outbox>, name: &str, live: &str, whole: &str) -> bool {
    let mut is_step = true;
    let whole = &mut || {
        is_step = false;
        Frame::from(whole.as_bytes())
    };
    outbox.queue(Frame::from(live.as_bytes()), Policy::Update { key: &key(name), whole }, Instant::now());
    is_step
}

fn push_behind(outbox: &Rc<Outbox>, text: &str) {
    outbox.queue(Frame::from(text.as_bytes()), Policy::Behind, Instant::now());
}

#[test]
fn h6_a_client_that_falls_behind_gets_the_whole_value_in_place_of_the_steps_it_missed() {
    let (outbox, valve) = outbox();
    assert!(step(&outbox, "a", "1", "[1]"));
    assert!(step(&outbox, "a", "2", "[12]"));
    outbox.flush();
    assert!(!step(&outbox, "a", "3", "[123]"));
    assert!(!step(&outbox, "a", "4", "[1234]"));
    assert!(!step(&outbox, "b", "x", "[x]"));
    assert_eq!(open(&outbox, &valve), b"12[1234][x]");
    assert!(step(&outbox, "a", "5", "[12345]"), "it keeps up again");
    assert_eq!(open(&outbox, &valve), b"5");
}

#[test]
fn h6_what_is_forgotten_does_not_come_and_the_rest_does() {
    let (outbox, valve) = outbox();
    push(&outbox, &b"-"[..]);
    outbox.flush();
    step(&outbox, "a", "1", "[1]");
    step(&outbox, "b", "2", "[2]");
    outbox.forget(&key("a"));
    outbox.forget(&key("never"));
    assert_eq!(open(&outbox, &valve), b"-[2]");
}

#[test]
fn h6_no_topic_makes_room_for_another_past_the_bound_the_client_is_too_slow() {
    let (outbox, _valve) = outbox();
    push(&outbox, &b"-"[..]);
    outbox.flush();
    let long = "x".repeat(MAX_BYTES - frame::cost(0) - frame::cost(1));
    step(&outbox, "a", "1", &long);
    step(&outbox, "a", "1", &long);
    step(&outbox, "b", "2", "2");
    assert_eq!(outbox.cause(), None, "exactly the bound");
    step(&outbox, "b", "2", "22");
    assert_eq!(outbox.cause(), Some(Cause::TooSlow));
}

#[test]
fn h4_what_is_said_of_a_value_that_still_waits_comes_behind_it_and_before_a_newer_one() {
    let (outbox, valve) = outbox_of(1024);
    push(&outbox, &b"-"[..]);
    push_behind(&outbox, "first");
    outbox.flush();
    step(&outbox, "a", "1", "[1]");
    step(&outbox, "b", "2", "[2]");
    for gap in ["gap1", "gap2"] {
        push_behind(&outbox, gap);
    }
    step(&outbox, "b", "3", "[3]");
    assert_eq!(open(&outbox, &valve), b"-first[1]gap1gap2[3]");
    push_behind(&outbox, "gap");
    assert_eq!(open(&outbox, &valve), b"gap", "it keeps up again");
}

#[test]
fn h6_a_client_with_a_thousand_topics_that_does_not_read_holds_the_newest_of_each() {
    let valve = Rc::<Valve>::default();
    let outbox = Outbox::new(Box::new(valve.clone()), Flusher::new(Metrics::new("test").shard()), 1 << 20);
    push(&outbox, &b"-"[..]);
    outbox.flush();
    for round in 0..3 {
        for topic in 0..1000 {
            step(&outbox, &topic.to_string(), "", &format!("[{topic}:{round}]"));
        }
    }
    assert_eq!((outbox.cause(), outbox.backlog().1), (None, 1001));
    let expected: String = (0..1000).map(|topic| format!("[{topic}:2]")).collect();
    assert_eq!(String::from_utf8(open(&outbox, &valve)).expect("text"), format!("-{expected}"));
    assert_eq!(outbox.backlog(), (0, 0));
}
