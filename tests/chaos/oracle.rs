//! Owns the judgement over a room when all is done: one log, complete for everybody, and a state
//! that is its fold. Each of them has checked itself before.

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Included},
};

use serde_json::{Map, Value, json};

use crate::{
    script::{Deed, SEATS, Script},
    witness::{Event, Witness, own_id},
};

/// Everything that is wrong with this room, in words; nothing when all is well.
pub fn judge(script: &Script, witnesses: &[&Witness]) -> Vec<String> {
    let Some(first) = witnesses.iter().min_by_key(|witness| witness.start.0) else {
        return vec!["nobody was there".to_owned()];
    };
    let mut wrong = Vec::new();
    for witness in witnesses.iter().filter(|witness| witness.epoch != first.epoch) {
        wrong.push(format!("{} saw the epoch {}, not {}", witness.name(), witness.epoch, first.epoch));
    }
    let log = one_log(witnesses, &mut wrong);
    no_holes(&log, first.start.0, &mut wrong);
    for witness in witnesses {
        complete(script, witness, &log, &mut wrong);
    }
    for seat in 0..SEATS {
        each_id_once(script, seat, &log, &mut wrong);
    }
    for witness in witnesses {
        acks_agree(witness, &log, &mut wrong);
    }
    presence_is_sane(&log, &mut wrong);
    states_are_folds(script, witnesses, &log, &mut wrong);
    wrong
}

type Log<'a> = BTreeMap<u64, &'a Event>;

/// S1: what has the same `seq` is the same event, whoever saw it.
fn one_log<'a>(witnesses: &[&'a Witness], wrong: &mut Vec<String>) -> Log<'a> {
    let mut log = Log::new();
    for witness in witnesses {
        for (seq, event) in &witness.log {
            let agreed = *log.entry(*seq).or_insert(event);
            if agreed != event {
                wrong.push(format!("at {seq} {} saw {event:?}, another {agreed:?}", witness.name()));
            }
        }
    }
    log
}

/// Every event has somebody who is to see it, its sender at least: a `seq` that nobody saw is a
/// lost event.
fn no_holes(log: &Log, start: u64, wrong: &mut Vec<String>) {
    let mut expected = start + 1;
    for seq in log.keys() {
        if *seq != expected {
            wrong.push(format!("nobody saw {expected} to {}", seq - 1));
        }
        expected = seq + 1;
    }
}

/// R5: of everything between its first and its last event the witness saw what is for it, and
/// nothing else.
fn complete(script: &Script, witness: &Witness, log: &Log, wrong: &mut Vec<String>) {
    let mut seen = witness.log.iter().map(|(seq, _)| *seq).peekable();
    for (seq, event) in log.range((Excluded(witness.start.0), Included(witness.seen))) {
        let is_for_it = match event {
            Event::Presence { .. } => true,
            Event::Deed { from, id } => script.is_for(witness.room, *from, *id, witness.seat),
        };
        let did_see = seen.next_if_eq(seq).is_some();
        if did_see != is_for_it {
            let verb = if did_see { "saw what is not for it" } else { "did not see" };
            wrong.push(format!("{} {verb}: {event:?} at {seq}", witness.name()));
        }
    }
}

/// S2: every `id` of the sender was applied exactly once, in order.
fn each_id_once(script: &Script, seat: usize, log: &Log, wrong: &mut Vec<String>) {
    let ids: Vec<u64> = log.values().filter_map(|event| own_id(event, seat)).collect();
    let expected = 1..=script.share;
    if !ids.iter().copied().eq(expected.clone()) {
        let at = ids.iter().copied().zip(expected).position(|(id, expected)| id != expected).unwrap_or(ids.len());
        let around = &ids[at.saturating_sub(2)..ids.len().min(at + 3)];
        wrong.push(format!("p{seat} had {} ids applied, wrong from the {at}th: …{around:?}…", ids.len()));
    }
}

fn acks_agree(witness: &Witness, log: &Log, wrong: &mut Vec<String>) {
    for (id, seq) in &witness.acks {
        let told = witness.seat.map(|from| Event::Deed { from, id: *id });
        if log.get(seq).copied() != told.as_ref() {
            wrong.push(format!("{} was told that {id} is at {seq}: there is {:?}", witness.name(), log.get(seq)));
        }
    }
}

/// Seats are kept for the whole run: everybody joins at most once that others see, and nobody
/// leaves.
fn presence_is_sane(log: &Log, wrong: &mut Vec<String>) {
    let mut joined = BTreeMap::new();
    for (seq, event) in log {
        let Event::Presence { player, status } = event else { continue };
        match status.as_str() {
            "joined" => {
                if let Some(before) = joined.insert(player, seq) {
                    wrong.push(format!("{player} joined at {before} and at {seq}"));
                }
            }
            "away" | "back" => {}
            other => wrong.push(format!("{player} is {other} at {seq}")),
        }
    }
}

/// R2: every state that came with a welcome is the fold of all patches up to that welcome's `seq`.
fn states_are_folds(script: &Script, witnesses: &[&Witness], log: &Log, wrong: &mut Vec<String>) {
    let mut witnesses = witnesses.to_vec();
    witnesses.sort_by_key(|witness| witness.start.0);
    let (mut state, mut events) = (json!({}), log.iter().peekable());
    for witness in witnesses {
        let (start, told) = &witness.start;
        while let Some((_, event)) = events.next_if(|(seq, _)| *seq <= start) {
            let Event::Deed { from, id } = event else { continue };
            if let Deed::Patch { patch } = script.deed(witness.room, *from, *id) {
                merge(&mut state, patch);
            }
        }
        if state != *told {
            wrong.push(format!("{} was told at {start} the state {told}, the patches make {state}", witness.name()));
        }
    }
}

/// RFC 7396, written anew: the server's own would agree with its own mistakes.
pub fn merge(target: &mut Value, patch: Value) {
    let Value::Object(fields) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    for (key, value) in fields {
        if value.is_null() {
            target.as_object_mut().expect("made one above").remove(&key);
        } else {
            merge(&mut target[key], value);
        }
    }
}
