//! Owns the tests of gaps (H4): sent once, before the first value or without one, from the first
//! loss on, for the topics concerned.

use super::{Rig, feeds::*};

const A: &str = r#"{"topic":"a","data":1}"#;

#[test]
fn h4_a_gap_comes_once_right_before_the_first_value_of_the_new_connection() {
    let mut rig = Rig::live(plain(), &["a", "b"]);
    rig.after(100);
    assert_eq!(rig.receive(A), ["a = 1"]);
    rig.after(50);
    rig.lose(None);
    rig.want("late");
    rig.after(1000);
    assert_eq!(rig.open(), ["live 1", "+a,b,late"]);
    assert!(rig.receive(r#"{"ignore":1}"#).is_empty());
    rig.after(20);
    assert!(rig.receive(r#"{"topic":"nobody","data":1}"#).is_empty(), "no value is put out, so no gap either");
    assert_eq!(rig.receive(A), ["gap a,b 100..1170", "a = 1"]);
    assert_eq!(rig.receive(A), ["a = 1"]);
    assert_eq!(rig.uplink.counts().gaps, 1);
}

#[test]
fn h4_where_no_value_comes_the_gap_is_told_once_the_connection_has_stood_for_a_second_with_all_asked_for() {
    let mut feed = plain();
    (feed.batch, feed.messages_per_second) = (1, 1.0);
    let mut rig = Rig::live(feed, &["a"]);
    rig.run(5000);
    rig.want("b");
    rig.settle();
    rig.lose(None);
    rig.run(2000);
    // The second topic waits for the pace, and the wait for the gap begins after it.
    assert_eq!(rig.open(), ["live 1", "+a"]);
    assert_eq!(rig.run(1000), ["+b"]);
    assert!(rig.run(999).is_empty());
    assert_eq!(rig.run(1), ["gap a,b 0..9000"]);
    assert!(rig.run(2000).is_empty() && rig.receive(A) == ["a = 1"], "once");
    // A connection that is lost before then sends no gap; what it missed belongs to the next one.
    rig.lose(None);
    rig.run(2000);
    rig.open();
    rig.run(1500);
    rig.lose(None);
    rig.run(30_000);
    rig.open();
    assert_eq!(rig.receive(A), ["gap a,b 11000..44500", "a = 1"]);
}

#[test]
fn h4_losses_without_a_value_in_between_are_one_gap_that_begins_with_the_first() {
    let mut rig = Rig::live(plain(), &["a"]);
    rig.after(10);
    rig.receive(A);
    rig.lose(None);
    for _ in 0..3 {
        rig.after(30_000);
        rig.fail();
    }
    rig.after(30_000);
    rig.open();
    rig.want("b");
    rig.settle();
    rig.receive(r#"{"ignore":1}"#);
    rig.lose(None);
    rig.after(30_000);
    rig.open();
    assert_eq!(rig.receive(A), ["gap a,b 10..150010", "a = 1"], "b was wanted at the second loss");
}

#[test]
fn h4_whoever_begins_to_want_a_topic_after_the_loss_missed_nothing() {
    let mut rig = Rig::live(plain(), &["a", "b"]);
    rig.lose(None);
    rig.unwant("a");
    rig.want("a");
    rig.after(1000);
    rig.open();
    assert_eq!(rig.receive(A), ["gap b 0..1000", "a = 1"]);
    rig.lose(None);
    rig.unwant("a");
    rig.unwant("b");
    rig.want("a");
    rig.after(30_000);
    rig.open();
    assert_eq!(rig.receive(A), ["a = 1"]);
}

#[test]
fn h4_nobody_is_told_of_what_was_lost_before_they_came() {
    let mut rig = Rig::live(plain(), &["a"]);
    rig.lose(None);
    rig.active(false);
    rig.after(30_000);
    rig.active(true);
    rig.open();
    assert_eq!(rig.receive(A), ["a = 1"]);
    rig.active(false);
    rig.active(true);
    rig.open();
    assert_eq!(rig.receive(A), ["a = 1"]);
}

#[test]
fn h4_a_connection_that_never_was_live_leaves_no_gap() {
    let mut rig = Rig::dialling(massive(), &["T.A"]);
    rig.open();
    rig.lose(None);
    rig.run(30_000);
    rig.open();
    rig.receive(r#"[{"ev":"status","status":"connected"},{"ev":"status","status":"auth_success"}]"#);
    assert_eq!(rig.receive(r#"[{"ev":"T","sym":"A"}]"#), [r#"T.A = {"ev":"T","sym":"A"}"#]);
}

#[test]
fn h4_a_gap_of_a_silent_connection_begins_where_it_began() {
    let mut rig = Rig::dialling(plain(), &["a"]);
    rig.after(40);
    rig.open();
    rig.run(20_000);
    rig.lose(None);
    rig.run(1000);
    rig.open();
    assert_eq!(rig.receive(A), ["gap a 40..21040", "a = 1"]);
}

#[test]
fn h4_a_calendar_that_is_set_back_makes_no_gap_that_ends_before_it_begins() {
    let mut rig = Rig::live(plain(), &["a"]);
    rig.after(500);
    rig.receive(A);
    rig.lose(None);
    rig.after(1000);
    rig.open();
    rig.now.unix_ms -= 1400;
    assert_eq!(rig.receive(A), ["gap a 100..100", "a = 1"]);
}
