//! Owns the proof that the oracle and the witnesses can fail: a room where all is well, and each
//! way in which it is not.

use fastrand::Rng;
use serde_json::{Value, json};

use crate::{
    oracle::{judge, merge},
    script::{Deed, SEATS, Script, player},
    witness::{Event, Witness},
};

const SCRIPT: Script = Script { seed: 7, share: 40 };

/// What the server would have sent: the events of room 0 from seq 1 on, and the state behind each.
fn room() -> Vec<(Value, Value)> {
    let mut random = Rng::with_seed(1);
    let (mut next, mut state, mut events) = ([1; SEATS], json!({}), Vec::new());
    while next.iter().any(|id| *id <= SCRIPT.share) {
        let (seat, seq) = (random.usize(..SEATS), events.len() + 1);
        let id = next[seat];
        if id > SCRIPT.share {
            continue;
        }
        if random.u32(..10) == 0 {
            let presence = json!({ "type": "presence", "seq": seq, "player": player(seat), "status": "back" });
            events.push((presence, state.clone()));
            continue;
        }
        next[seat] += 1;
        let mut frame: Value = serde_json::from_str(&SCRIPT.deed(0, seat, id).frame(id)).expect("json");
        if let Deed::Patch { patch } = SCRIPT.deed(0, seat, id) {
            merge(&mut state, patch);
        } else {
            frame["type"] = "message".into();
        }
        frame["seq"] = seq.into();
        frame["from"] = player(seat).into();
        events.push((frame, state.clone()));
    }
    events
}

fn sees(frame: &Value, viewer: Option<usize>) -> bool {
    frame["type"] == "presence" || {
        let from = crate::script::seat(frame["from"].as_str().expect("from")).expect("a seat");
        SCRIPT.is_for(0, from, frame["id"].as_u64().expect("id"), viewer)
    }
}

fn welcome(seat: Option<usize>, seq: usize, state: &Value) -> Value {
    let name = seat.map_or("watcher".to_owned(), player);
    json!({
        "type": "welcome", "resume": "new", "seq": seq, "epoch": "e", "session": "e.s", "last_id": 0, "state": state,
        "player": name, "players": { &name: "joined" },
    })
}

/// Four players from the beginning and two spectators who come later; all is well.
fn witnesses() -> Vec<Witness> {
    let room = room();
    let nobody_yet = json!({});
    let comers = (0..SEATS).map(|seat| (Some(seat), 0)).chain([(None, 50), (None, room.len())]);
    comers
        .map(|(seat, start)| {
            let state = if start == 0 { &nobody_yet } else { &room[start - 1].1 };
            let mut witness = Witness::begin(0, seat, &welcome(seat, start, state), &SCRIPT).expect("new");
            for (frame, _) in room[start..].iter().filter(|(frame, _)| sees(frame, seat)) {
                witness.event(frame, &SCRIPT).expect("all is well");
            }
            witness
        })
        .collect()
}

fn judged(witnesses: &[Witness]) -> Vec<String> {
    judge(&SCRIPT, &witnesses.iter().collect::<Vec<_>>())
}

/// Where in the witness's log the first event is that fits.
fn place(witness: &Witness, fits: impl Fn(&Event) -> bool) -> usize {
    witness.log.iter().position(|(_, event)| fits(event)).expect("such an event")
}

#[test]
fn a_room_where_all_is_well_is_found_well() {
    let witnesses = witnesses();
    assert_eq!(judged(&witnesses), Vec::<String>::new());
    assert!(witnesses[..SEATS].iter().all(|witness| witness.due == 0 && witness.applied == SCRIPT.share));
}

#[test]
fn whatever_is_wrong_with_a_room_is_found() {
    type Wrong = fn(&mut Vec<Witness>);
    let ways: [(&str, Wrong); 9] = [
        ("did not see", |all| drop(all[1].log.remove(20))),
        ("saw what is not for it", |all| {
            let of_whispers =
                |event: &Event| matches!(event, Event::Deed { from: 0, id } if !SCRIPT.is_for(0, 0, *id, None));
            let whisper = all[0].log[place(&all[0], of_whispers)].clone();
            let before = all[4].log.partition_point(|(seq, _)| *seq < whisper.0);
            all[4].start.0 = 0;
            all[4].start.1 = json!({});
            all[4].log.insert(before, whisper);
        }),
        ("another", |all| all[2].log[5].1 = Event::Deed { from: 0, id: 40 }),
        ("nobody saw", |all| {
            let seq = all[0].log[30].0;
            all.iter_mut().for_each(|witness| witness.log.retain(|(at, _)| *at != seq));
        }),
        ("ids applied, wrong from", |all| {
            let newest = all.iter().map(|witness| witness.seen).max().expect("witnesses");
            for witness in all {
                witness.log.push((newest + 1, Event::Deed { from: 3, id: 40 }));
                witness.seen = newest + 1;
            }
        }),
        ("was told that 3 is at", |all| {
            let elsewhere = all[0].log[0].0 + 1;
            all[0].acks.push((3, elsewhere));
        }),
        ("the patches make", |all| all[5].start.1["counters"]["p0"] = json!(1)),
        ("the epoch", |all| all[3].epoch = "f".to_owned()),
        ("is left at", |all| {
            let place = place(&all[0], |event| matches!(event, Event::Presence { .. }));
            let (seq, left) = (all[0].log[place].0, Event::Presence { player: player(0), status: "left".to_owned() });
            for (at, event) in all.iter_mut().flat_map(|witness| &mut witness.log) {
                if *at == seq {
                    *event = left.clone();
                }
            }
        }),
    ];
    for (finding, wrong) in ways {
        let mut witnesses = witnesses();
        wrong(&mut witnesses);
        let found = judged(&witnesses);
        assert!(found.iter().any(|line| line.contains(finding)), "{finding}: {found:#?}");
    }
}

#[test]
fn a_witness_finds_what_is_wrong_with_a_frame() {
    let room = room();
    let mut witness = Witness::begin(0, None, &welcome(None, 0, &json!({})), &SCRIPT).expect("new");
    let public: Vec<_> = room.iter().map(|(frame, _)| frame).filter(|frame| sees(frame, None)).collect();
    witness.event(public[0], &SCRIPT).expect("the first");
    assert!(witness.event(public[0], &SCRIPT).is_err(), "twice");
    let message = public.iter().find(|frame| frame["type"] == "message").expect("a message");
    let mut changed = (*message).clone();
    changed["data"]["n"] = json!(0);
    assert!(witness.event(&changed, &SCRIPT).is_err(), "changed");
    let whisper = room.iter().map(|(frame, _)| frame).find(|frame| !sees(frame, None)).expect("a whisper");
    assert!(witness.event(whisper, &SCRIPT).is_err(), "not for spectators");
}

#[test]
fn a_witness_finds_a_wrong_verdict() {
    let mut witness = Witness::begin(0, Some(0), &welcome(Some(0), 10, &json!({})), &SCRIPT).expect("new");
    witness.applied = 5;
    let mut right = welcome(Some(0), 12, &json!({}));
    right.as_object_mut().expect("an object").remove("state");
    (right["resume"], right["last_id"]) = (json!("continuous"), json!(6));
    assert_eq!(witness.resume(&right, 7), Ok(6));
    let wrongs = [
        ("resume", json!("reset")),
        ("epoch", json!("f")),
        ("seq", json!(9)),
        ("last_id", json!(4)),
        ("last_id", json!(8)),
    ];
    for (field, value) in wrongs {
        let mut wrong = right.clone();
        wrong[field] = value;
        assert!(witness.resume(&wrong, 7).is_err(), "{wrong}");
    }
}
