//! Owns the tests of what a subscriber is sent of its topics, and in which order (H1).

use serde_json::json;

use super::{Rig, data, of_type, subscribe, unsubscribe, up_to};

#[test]
fn h1_subscribed_comes_first_then_the_last_known_values_then_live_data() {
    let rig = Rig::start();
    let mut first = rig.client();
    assert_eq!(
        (&first.welcome["hub"], &first.welcome["protocol"]),
        (&json!("options"), &json!(1)),
        "{}",
        first.welcome
    );
    subscribe(&mut first, &["T.O:A", "Q.O:A"]);
    rig.fake.wait_for_topics(&["Q.O:A", "T.O:A"]);
    rig.fake.publish("T.O:A", json!({"p": 1.5, "n": 1}));
    let live = data(&mut first, "T.O:A");
    assert_eq!(live["data"], json!({"ev": "T", "sym": "O:A", "p": 1.5, "n": 1}), "as the upstream said it");

    // Who comes later: the value there is, and none of the topic that has none yet.
    let mut late = rig.client();
    late.send(&json!({"type": "subscribe", "topics": ["Q.O:A", "T.O:A"]}));
    let frames = up_to(&mut late, "T.O:A", 1);
    let frames: Vec<_> = frames.iter().filter(|frame| frame["type"] != "feed").collect();
    assert_eq!((&frames[0]["type"], &frames[0]["topics"]), (&json!("subscribed"), &json!(["Q.O:A", "T.O:A"])));
    let mut snapshot = live.clone();
    snapshot["snapshot"] = json!(true);
    assert_eq!(*frames[1], snapshot, "the same value under the same number");
    assert_eq!(frames.len(), 2, "{frames:?}");

    // From now on both get the same.
    rig.fake.publish_all(&[("T.O:A", json!({"n": 2})), ("Q.O:A", json!({"n": 7}))]);
    rig.fake.publish("T.O:A", json!({"n": 3}));
    let seq = live["seq"].as_u64().expect("a seq");
    let [mine, its] = [&mut first, &mut late].map(|client| up_to(client, "T.O:A", 3));
    assert_eq!(mine, its);
    let trades: Vec<_> = mine.iter().filter(|frame| frame["topic"] == "T.O:A").collect();
    for (n, frame) in (1..).zip(&trades) {
        assert_eq!((&frame["seq"], frame.get("snapshot")), (&json!(seq + n), None), "{frame}");
    }
    assert_eq!((trades.len(), mine.len()), (2, 3), "{mine:?}");
    rig.fake.assert_tidy();
}

#[test]
fn h1_a_value_that_nobody_knew_when_one_subscribed_is_live_and_no_snapshot() {
    let rig = Rig::start();
    let mut client = rig.subscriber(&["T.O:A"]);
    for n in 1..3 {
        rig.fake.publish("T.O:A", json!({"n": n}));
        let live = data(&mut client, "T.O:A");
        assert_eq!((&live["data"]["n"], live.get("snapshot")), (&json!(n), None), "{live}");
    }
}

#[test]
fn h1_a_topic_that_one_has_is_told_anew() {
    let rig = Rig::start();
    let mut client = rig.subscriber(&["T.O:A"]);
    rig.fake.publish("T.O:A", json!({"n": 1}));
    data(&mut client, "T.O:A");
    for _ in 0..3 {
        assert_eq!(subscribe(&mut client, &["T.O:A", "T.O:A"]), "live");
        let again = client.next();
        assert_eq!((&again["snapshot"], &again["data"]["n"]), (&json!(true), &json!(1)), "{again}");
        assert!(client.drain().is_empty(), "once");
    }
    rig.fake.publish("T.O:A", json!({"n": 2}));
    assert_eq!(client.next()["data"]["n"], 2);
    assert!(client.drain().is_empty(), "once, however often it was asked for");
    rig.fake.assert_tidy();
}

#[test]
fn h1_who_reads_gets_every_value_of_a_burst_in_order_and_values_of_other_topics_never() {
    let rig = Rig::start();
    let mut client = rig.subscriber(&["T.O:A", "T.O:B"]);
    let mut other = rig.subscriber(&["Q.O:A"]);
    let mut n = 0;
    for _ in 0..20 {
        // Two frames, the second with many events: among them statuses, an event that nobody knows,
        // one of a topic that nobody has, and some twice.
        rig.fake.publish("T.O:A", json!({"n": n + 1}));
        let mut events: Vec<_> = (2..=20).map(|step| json!({"ev": "T", "sym": "O:A", "n": n + step})).collect();
        events.insert(3, json!({"ev": "status", "status": "success", "message": "subscribed to: T.O:A"}));
        events.insert(5, json!({"ev": "XYZ", "pair": "no symbol"}));
        events.insert(7, json!({"ev": "T", "sym": "O:C", "n": 1}));
        events.insert(9, json!({"ev": "T", "sym": "O:B", "n": n}));
        events.insert(11, json!({"ev": "T", "sym": "O:B", "n": n}));
        events.insert(13, json!("not even an object"));
        rig.fake.say(&json!(events));
        n += 20;
        let frames = up_to(&mut client, "T.O:A", n);
        let values = |topic: &str| -> Vec<u64> {
            let frames = of_type(&frames, "data").into_iter().filter(|frame| frame["topic"] == topic);
            frames.map(|frame| frame["data"]["n"].as_u64().expect("a number")).collect()
        };
        assert_eq!(values("T.O:A"), (n - 19..=n).collect::<Vec<_>>(), "{frames:?}");
        assert_eq!(values("T.O:B"), [n - 20, n - 20], "what comes twice is told twice");
        assert_eq!(frames.len(), 22, "and nothing else: {frames:?}");
    }
    rig.fake.publish("Q.O:A", json!({"n": 1}));
    let frames = up_to(&mut other, "Q.O:A", 1);
    assert_eq!(of_type(&frames, "data").len(), 1, "{frames:?}");
    rig.fake.assert_tidy();
}

#[test]
fn h1_what_the_upstream_says_wrongly_is_passed_over_and_the_feed_goes_on() {
    let rig = Rig::start();
    let mut client = rig.subscriber(&["T.O:A"]);
    for text in
        ["", "{", "null", "[]", "[[]]", "[null]", "\"text\"", "[{\"ev\":\"T\",\"sym\":7}]", "[{\"ev\":\"T\"", "{}"]
    {
        rig.fake.say_text(text);
    }
    rig.fake.say_text(&format!("{}1{}", "[".repeat(5000), "]".repeat(5000)));
    rig.fake.publish("T.O:A", json!({"n": 1}));
    assert_eq!(of_type(&up_to(&mut client, "T.O:A", 1), "data").len(), 1);
    assert_eq!(rig.fake.look(|desk| (desk.ever, desk.now())), (1, 1));
}

#[test]
fn h1_a_topic_that_nobody_may_have_is_refused_and_leaves_everything_as_it_was() {
    let rig = Rig::with(&[r#"topics: ["T.O:*", "Q.O:*X"]"#], &[]);
    let mut client = rig.subscriber(&["T.O:A"]);
    assert_eq!(client.welcome["topics"], json!(["T.O:*", "Q.O:*X"]), "{}", client.welcome);
    for wrong in ["A.O:A", "Q.O:A", "T.*", "*", "T.I:SPX", "XT.O:A"] {
        client.send(&json!({"type": "subscribe", "topics": ["T.O:B", wrong]}));
        let error = client.next();
        assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!("forbidden")), "{wrong}: {error}");
        assert!(error["message"].as_str().is_some_and(|message| message.contains(wrong)), "{error}");
    }
    assert_eq!(subscribe(&mut client, &["Q.O:X", "Q.O:AX"]), "live");
    rig.fake.wait_for_topics(&["Q.O:AX", "Q.O:X", "T.O:A"]);
    assert_eq!(rig.fake.look(|desk| desk.frames_with("T.O:B").len()), 0);
    // What could end the text that the upstream is sent, or join another topic to it.
    for hostile in ["T.O:A,T.*", "T.O:\",\"x\":\"", "T.O:\u{7f}", "T.O:\n"] {
        client.send(&json!({"type": "subscribe", "topics": [hostile]}));
        let answer = client.until(|frame| frame["type"] == "error" || frame["type"] == "subscribed");
        client.drain();
        let asked = rig.fake.look(|desk| desk.topics());
        assert!(!asked.contains("T.*"), "{hostile:?} was answered {answer} and asked for {asked:?}");
        unsubscribe(&mut client, &[hostile]);
    }
    client.drain();
    assert_eq!(rig.fake.look(|desk| desk.now()), 1);
}
