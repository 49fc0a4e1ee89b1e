//! Owns the tests of gaps: what subscribers are sent if they may have missed values (H4).

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{CLOCK_MS, Rig, data, feed, of_type, subscribe, unix_ms, unsubscribe, up_to};
use crate::{
    fakes::{Fake, Massive},
    support::Client,
};

/// The one gap among these frames, in front of all data; its topics sorted.
fn only_gap(frames: &[Value]) -> Value {
    let gaps = of_type(frames, "gap");
    assert_eq!(gaps.len(), 1, "{frames:?}");
    let first = frames.iter().position(|frame| frame["type"] == "data");
    let place = frames.iter().position(|frame| frame["type"] == "gap");
    assert!(first.is_none_or(|first| place < Some(first)), "before the first value: {frames:?}");
    let mut gap = gaps[0].clone();
    assert!(gap["from"].as_u64() <= gap["to"].as_u64() && gap["to"].as_u64() <= Some(unix_ms()), "{gap}");
    gap["topics"].as_array_mut().expect("topics").sort_by_key(Value::to_string);
    gap
}

/// Waits until one connection has exactly these topics after the `ever`th was opened.
fn resubscribed(fake: &Fake<Massive>, ever: usize, topics: &[&str]) {
    fake.wait_for_ever(ever);
    fake.wait_for_topics(topics);
}

#[test]
fn h4_after_a_reconnect_everything_is_subscribed_again_and_each_subscriber_is_told_of_the_gap_once() {
    let rig = Rig::start();
    let (mut a, mut b) = (rig.subscriber(&["T.O:A", "T.O:B"]), rig.subscriber(&["T.O:B", "T.O:C"]));
    let mut idle = rig.client();
    rig.fake.publish_all(&["T.O:A", "T.O:B", "T.O:C"].map(|topic| (topic, json!({"n": 0}))));
    data(&mut a, "T.O:B");
    let (mut ever, mut n) = (1, 0);
    let ways: [fn(&Fake<Massive>); 4] =
        [Fake::cut, |fake| fake.close(1001, "bye"), |fake| fake.close(1011, ""), |fake| fake.close(1000, "")];
    for way in ways {
        (ever, n) = (ever + 1, n + 2);
        a.drain();
        b.drain();
        let still_fine = unix_ms();
        // The last that was heard before, so that nothing can have been missed up to here.
        rig.fake.publish("T.O:C", json!({"n": n - 1}));
        up_to(&mut b, "T.O:C", n - 1);
        way(&rig.fake);
        let live = feed(&mut a, "live")["since"].as_u64().expect("ms");
        let back_again = unix_ms();
        resubscribed(&rig.fake, ever, &["T.O:A", "T.O:B", "T.O:C"]);
        rig.fake.publish("T.O:B", json!({"n": n}));
        let [for_a, for_b] = [&mut a, &mut b].map(|client| up_to(client, "T.O:B", n));
        let (gap_a, gap_b) = (only_gap(&for_a), only_gap(&for_b));
        assert_eq!((&gap_a["topics"], &gap_b["topics"]), (&json!(["T.O:A", "T.O:B"]), &json!(["T.O:B", "T.O:C"])));
        for gap in [gap_a, gap_b] {
            let (from, to) = (gap["from"].as_u64().expect("ms"), gap["to"].as_u64().expect("ms"));
            assert!(still_fine <= from + CLOCK_MS && from <= back_again, "{still_fine} to {back_again}: {gap}");
            assert!(live <= to, "values were missed up to {live}: {gap}");
        }
        // The other topics' first values bring no second one.
        rig.fake.publish_all(&[("T.O:A", json!({"n": n})), ("T.O:C", json!({"n": n}))]);
        for (client, topic) in [(&mut a, "T.O:A"), (&mut b, "T.O:C")] {
            assert_eq!(of_type(&up_to(client, topic, n), "gap").len(), 0);
        }
        assert_eq!(of_type(&idle.drain(), "gap").len(), 0, "who has no topic misses nothing");
    }
    rig.fake.assert_tidy();
}

#[test]
fn h4_values_that_were_skipped_leave_no_hole_in_the_numbers_and_the_newest_is_known() {
    let mut rig = Rig::start();
    let mut client = rig.subscriber(&["T.O:A"]);
    rig.fake.publish("T.O:A", json!({"n": 1}));
    let before = data(&mut client, "T.O:A")["seq"].as_u64().expect("a seq");
    rig.fake.down();
    feed(&mut client, "down");
    for n in 2..10 {
        assert_eq!(rig.fake.try_publish(&[("T.O:A", json!({"n": n}))]), 0, "lost");
    }
    rig.fake.up();
    resubscribed(&rig.fake, 2, &["T.O:A"]);
    // The provider repeats itself, then goes on.
    rig.fake.publish_all(&[("T.O:A", json!({"n": 1})), ("T.O:A", json!({"n": 10})), ("T.O:A", json!({"n": 10}))]);
    rig.fake.publish("T.O:A", json!({"n": 11}));
    let frames = up_to(&mut client, "T.O:A", 11);
    only_gap(&frames);
    let seqs: Vec<_> = of_type(&frames, "data").iter().map(|frame| frame["seq"].as_u64().expect("a seq")).collect();
    assert_eq!(seqs, (before + 1..=before + 4).collect::<Vec<_>>(), "{frames:?}");
    let mut late = rig.client();
    subscribe(&mut late, &["T.O:A"]);
    let known = late.until_type("data");
    assert_eq!((&known["data"]["n"], &known["seq"]), (&json!(11), &json!(before + 4)), "{known}");
}

#[test]
fn h4_a_gap_begins_where_the_silence_began_however_late_it_was_noticed() {
    let rig = Rig::with(&["heartbeat: { interval_ms: 200, timeout_ms: 2500 }"], &[]);
    let mut client = rig.subscriber(&["T.O:A"]);
    rig.fake.publish("T.O:A", json!({"n": 1}));
    data(&mut client, "T.O:A");
    rig.fake.mute();
    // This is said by the provider, and never arrives.
    let lost_at = unix_ms();
    rig.fake.publish("T.O:A", json!({"n": 2}));
    resubscribed(&rig.fake, 2, &["T.O:A"]);
    rig.fake.publish("T.O:A", json!({"n": 3}));
    let frames = up_to(&mut client, "T.O:A", 3);
    let gap = only_gap(&frames);
    assert!(gap["from"].as_u64() <= Some(lost_at), "a value was lost at {lost_at}: {gap}");
    assert!(frames.iter().all(|frame| frame["data"]["n"] != 2), "{frames:?}");
}

#[test]
fn h4_who_waits_for_no_value_is_told_of_the_gap_all_the_same_and_once() {
    let rig = Rig::start();
    let mut client = rig.subscriber(&["T.O:A"]);
    rig.fake.cut();
    feed(&mut client, "live");
    let gap = client.until_type("gap");
    assert_eq!(gap["topics"], json!(["T.O:A"]), "{gap}");
    rig.fake.wait_for_topics(&["T.O:A"]);
    rig.fake.publish("T.O:A", json!({"n": 1}));
    assert_eq!(of_type(&up_to(&mut client, "T.O:A", 1), "gap").len(), 0, "it was told");
    // Who comes now finds a value that is from behind it.
    let mut late = rig.client();
    subscribe(&mut late, &["T.O:A"]);
    assert_eq!(of_type(&up_to(&mut late, "T.O:A", 1), "gap").len(), 0);
}

#[test]
fn h4_many_losses_without_a_value_between_are_one_gap_from_the_first() {
    let rig = Rig::start();
    let mut client = rig.subscriber(&["T.O:A"]);
    rig.fake.publish("T.O:A", json!({"n": 1}));
    data(&mut client, "T.O:A");
    let (first_loss, begun) = (unix_ms(), Instant::now());
    for ever in 2..=5 {
        rig.fake.cut();
        resubscribed(&rig.fake, ever, &["T.O:A"]);
    }
    rig.fake.publish("T.O:A", json!({"n": 2}));
    let took = begun.elapsed();
    let frames = up_to(&mut client, "T.O:A", 2);
    let (gaps, lives) = (of_type(&frames, "gap"), frames.iter().filter(|frame| frame["state"] == "live").count());
    assert!(gaps[0]["from"].as_u64() <= Some(first_loss), "{first_loss}: {frames:?}");
    // A connection that stood for a second, on a machine this slow, has told its own.
    assert!(gaps.len() == 1 || took >= Duration::from_secs(1) && gaps.len() <= lives, "{frames:?}");
    rig.fake.publish("T.O:A", json!({"n": 3}));
    assert_eq!(of_type(&up_to(&mut client, "T.O:A", 3), "gap").len(), 0);
}

#[test]
fn h4_who_came_or_took_a_topic_after_the_loss_has_missed_nothing_of_it() {
    let mut rig = Rig::start();
    let mut old = rig.subscriber(&["T.O:A", "T.O:B"]);
    rig.fake.publish("T.O:A", json!({"n": 1}));
    data(&mut old, "T.O:A");
    rig.fake.down();
    feed(&mut old, "down");
    let mut new = rig.client();
    subscribe(&mut new, &["T.O:C"]);
    unsubscribe(&mut old, &["T.O:B"]);
    subscribe(&mut old, &["T.O:D"]);
    rig.fake.up();
    resubscribed(&rig.fake, 2, &["T.O:A", "T.O:C", "T.O:D"]);
    rig.fake.publish_all(&["T.O:C", "T.O:D", "T.O:A"].map(|topic| (topic, json!({"n": 2}))));
    let frames = up_to(&mut new, "T.O:C", 2);
    assert_eq!(of_type(&frames, "gap").len(), 0, "{frames:?}");
    let gap = only_gap(&up_to(&mut old, "T.O:A", 2));
    assert_eq!(gap["topics"], json!(["T.O:A"]));
    rig.fake.assert_tidy();
}

#[test]
fn h4_whose_snapshot_is_from_before_the_loss_is_told_so_too_once_whenever_it_came() {
    let mut rig = Rig::start();
    let mut old = rig.subscriber(&["T.O:A", "T.O:B"]);
    rig.fake.publish_all(&[("T.O:A", json!({"n": 1})), ("T.O:B", json!({"n": 1}))]);
    up_to(&mut old, "T.O:B", 1);
    rig.fake.down();
    feed(&mut old, "down");
    // One takes A while the upstream is down, one when it is back and has said something of B
    // alone.
    let mut during = rig.client();
    subscribe(&mut during, &["T.O:A"]);
    assert_eq!(during.until_type("data")["data"]["n"], 1);
    rig.fake.up();
    resubscribed(&rig.fake, 2, &["T.O:A", "T.O:B"]);
    rig.fake.publish("T.O:B", json!({"n": 2}));
    assert_eq!(only_gap(&up_to(&mut old, "T.O:B", 2))["topics"], json!(["T.O:A", "T.O:B"]));
    let mut after = rig.client();
    subscribe(&mut after, &["T.O:A", "T.O:B"]);
    rig.fake.publish("T.O:A", json!({"n": 2}));
    assert_eq!(of_type(&up_to(&mut old, "T.O:A", 2), "gap").len(), 0);
    assert_eq!(only_gap(&up_to(&mut during, "T.O:A", 2))["topics"], json!(["T.O:A"]));
    let frames = up_to(&mut after, "T.O:A", 2);
    let gaps = of_type(&frames, "gap");
    let old_value = frames.iter().any(|frame| frame["topic"] == "T.O:A" && frame["data"]["n"] == 1);
    assert!(old_value && gaps.len() == 1 && gaps[0]["topics"] == json!(["T.O:A"]), "{frames:?}");
    let mut late = rig.client();
    subscribe(&mut late, &["T.O:A"]);
    assert_eq!(of_type(&up_to(&mut late, "T.O:A", 2), "gap").len(), 0, "what it is told is fresh");
}

#[test]
fn h4_the_gap_reaches_every_shard_and_every_subscriber_exactly_once() {
    let rig = Rig::with(&[], &[("SHARDS", "3")]);
    let topics: Vec<_> = (0..7).map(|n| format!("T.O:{n}")).collect();
    let mut clients: Vec<(Client, Vec<&str>)> = (0..60)
        .map(|n| {
            let own: Vec<_> =
                topics.iter().enumerate().filter(|(t, _)| (n >> (t % 3)) & 1 == 1).map(|(_, t)| t.as_str()).collect();
            let mut client = rig.client();
            if !own.is_empty() {
                subscribe(&mut client, &own);
            }
            (client, own)
        })
        .collect();
    let all: Vec<_> = topics.iter().map(String::as_str).collect();
    rig.fake.wait_for_topics(&all);
    for ever in 2..5 {
        rig.fake.cut();
        resubscribed(&rig.fake, ever, &all);
        rig.fake.publish_all(&all.iter().map(|topic| (*topic, json!({"n": ever}))).collect::<Vec<_>>());
        for (client, own) in &mut clients {
            let mut frames = Vec::new();
            // In whatever order the topics come.
            while own.iter().any(|topic| !frames.iter().any(|frame: &Value| frame["topic"] == *topic)) {
                frames.push(client.next());
            }
            frames.extend(client.drain());
            match own.is_empty() {
                true => assert_eq!(of_type(&frames, "gap").len(), 0, "{frames:?}"),
                false => assert_eq!(only_gap(&frames)["topics"], json!(own)),
            }
        }
    }
    rig.fake.assert_tidy();
}

#[test]
fn h4_a_connection_that_is_replaced_for_its_age_is_a_gap_like_any_other() {
    let rig = Rig::with(&["max_age_ms: 3000"], &[]);
    let mut client = rig.subscriber(&["T.O:A"]);
    rig.fake.publish("T.O:A", json!({"n": 1}));
    data(&mut client, "T.O:A");
    resubscribed(&rig.fake, 2, &["T.O:A"]);
    rig.fake.publish("T.O:A", json!({"n": 2}));
    only_gap(&up_to(&mut client, "T.O:A", 2));
    rig.fake.wait_for_ever(3);
    rig.fake.look(|desk| assert!(desk.closes.iter().all(|code| *code == 1000), "{:?}", desk.closes));
    assert_eq!(rig.health()["reconnectAttempts"], 0, "nobody failed");
    rig.fake.assert_tidy();
}
