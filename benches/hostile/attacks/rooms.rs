//! Owns the attacks of members: what ten connections of one address send at the default rates.

use std::{io, thread, time::Duration};

use super::super::{
    attacker::Stage,
    peer::{Peer, paced, text},
};

/// What one address may hold.
const CONNECTIONS: usize = 10;
/// What fills a state up to its bound, the greatest first.
const FILL: [usize; 5] = [50_000, 10_000, 2_000, 400, 80];

/// Ten connections that send these in turn, each so often; one that was closed comes back.
fn flood(stage: &mut Stage, in_one_room: bool, per_second: f64, frames: &[Vec<u8>]) -> io::Result<()> {
    let path = |index| match in_one_room {
        true => format!("/ws/hostile/p{index}"),
        false => format!("/ws/hostile-{index}/p"),
    };
    let mut peers: Vec<Option<Peer>> = Vec::new();
    for index in 0..CONNECTIONS {
        peers.push(Peer::open(stage.server, &path(index), &mut stage.got));
    }
    rounds(stage, &mut peers, path, per_second, frames);
    Ok(())
}

fn rounds(
    stage: &mut Stage,
    peers: &mut [Option<Peer>],
    path: impl Fn(usize) -> String,
    per_second: f64,
    frames: &[Vec<u8>],
) {
    let (server, mut turn, mut sent) = (stage.server, 0, 0);
    let number = peers.len();
    paced(stage.until, per_second * number as f64, || {
        let index = turn % number;
        let frame = &frames[turn / number % frames.len()];
        turn += 1;
        let Some(peer) = &mut peers[index] else {
            peers[index] = Peer::open(server, &path(index), &mut stage.got);
            return;
        };
        let result = peer.drain(&mut stage.got).and_then(|()| peer.send(frame));
        match result {
            Ok(()) => sent += 1,
            Err(_) => peers[index] = None,
        }
    });
    for peer in peers.iter_mut().flatten() {
        let _ = peer.drain(&mut stage.got);
    }
    stage.got.add("frames", sent);
}

/// # Errors
/// None.
pub fn unknown_names(stage: &mut Stage) -> io::Result<()> {
    let names: Vec<_> = (0..8500).map(|name| format!("\"{name:04}\"")).collect();
    flood(stage, false, 4.2, &[text(&format!(r#"{{"type":"send","data":0,"to":[{}]}}"#, names.join(",")))])
}

/// # Errors
/// None.
pub fn repeated_name(stage: &mut Stage) -> io::Result<()> {
    let names = vec!["\"p1\""; 500].join(",");
    flood(stage, true, 95.0, &[text(&format!(r#"{{"type":"send","data":0,"to":[{names}]}}"#))])
}

/// # Errors
/// None.
pub fn small_objects(stage: &mut Stage) -> io::Result<()> {
    let objects = vec![r#"{"a":0}"#; 7000].join(",");
    let part = |key| text(&format!(r#"{{"type":"patch","patch":{{"k{key}":[{objects}]}}}}"#));
    flood(stage, false, 4.2, &(0..4).map(part).collect::<Vec<_>>())
}

/// Members of rooms whose state takes no more than a few bytes.
fn full_rooms(stage: &mut Stage) -> Vec<Option<Peer>> {
    let mut peers = Vec::new();
    for index in 0..CONNECTIONS {
        let peer = Peer::open(stage.server, &format!("/ws/hostile-{index}/p"), &mut stage.got);
        peers.push(peer.and_then(|mut peer| fill(&mut peer, stage).map(|()| peer).ok()));
    }
    peers
}

/// # Errors
/// When the connection ends.
fn fill(peer: &mut Peer, stage: &mut Stage) -> io::Result<()> {
    peer.wait_for(&["welcome"], &mut stage.got)?;
    for size in FILL {
        for key in 0.. {
            let value = "y".repeat(size);
            peer.send(&text(&format!(r#"{{"type":"patch","patch":{{"f{size}-{key}":"{value}"}}}}"#)))?;
            if peer.wait_for(&["patch", "error"], &mut stage.got)?.contains(r#""type":"error""#) || stage.is_over() {
                break;
            }
        }
    }
    Ok(())
}

/// # Errors
/// None.
pub fn refused_patches(stage: &mut Stage) -> io::Result<()> {
    let mut peers = full_rooms(stage);
    let patch = text(&format!(r#"{{"type":"patch","patch":{{"more":"{}"}}}}"#, "x".repeat(2500)));
    rounds(stage, &mut peers, |index| format!("/ws/hostile-{index}/p"), 95.0, &[patch]);
    Ok(())
}

/// # Errors
/// None.
pub fn accepted_patches(stage: &mut Stage) -> io::Result<()> {
    let mut peers = full_rooms(stage);
    let patch = |byte: &str| text(&format!(r#"{{"type":"patch","patch":{{"f2000-0":"{}"}}}}"#, byte.repeat(2000)));
    rounds(stage, &mut peers, |index| format!("/ws/hostile-{index}/p"), 95.0, &[patch("a"), patch("b")]);
    Ok(())
}

/// Another room with each attempt; it stays for a while after its only member has left.
///
/// # Errors
/// None.
pub fn filled_rooms(stage: &mut Stage) -> io::Result<()> {
    let patches = (0..4).map(|key| format!(r#"{{"type":"patch","patch":{{"k{key}":"{}"}}}}"#, "y".repeat(60_000)));
    let message = format!(r#"{{"type":"send","data":"{}"}}"#, "x".repeat(60_000));
    let frames: Vec<_> = patches.chain([message]).map(|frame| text(&frame)).collect();
    let mut room = 0;
    while !stage.is_over() {
        let mut peers = Vec::new();
        for _ in 0..CONNECTIONS {
            room += 1;
            peers.push(Peer::open(stage.server, &format!("/ws/filled-{room}/p"), &mut stage.got));
        }
        // What the burst of bytes admits.
        for frame in &frames {
            for peer in peers.iter_mut().flatten() {
                let _ = peer.send(frame);
            }
        }
        thread::sleep(Duration::from_millis(100));
        for peer in peers.iter_mut().flatten() {
            let _ = peer.drain(&mut stage.got);
        }
    }
    Ok(())
}

/// # Errors
/// None.
pub fn joins(stage: &mut Stage) -> io::Result<()> {
    let Some(mut member) = Peer::open(stage.server, "/ws/hostile/p", &mut stage.got) else { return Ok(()) };
    fill(&mut member, stage)?;
    let mut joined = 0;
    paced(stage.until, 50.0, || {
        let _ = member.drain(&mut stage.got);
        let peer = Peer::open(stage.server, "/ws/hostile/q", &mut stage.got);
        joined += u64::from(peer.is_some());
    });
    stage.got.add("joins", joined);
    Ok(())
}

/// # Errors
/// None.
pub fn big_messages(stage: &mut Stage) -> io::Result<()> {
    // In a room each: together they would be closed for not reading what the others send.
    flood(stage, false, 95.0, &[text(&format!(r#"{{"type":"send","data":"{}"}}"#, "x".repeat(65_000)))])
}

/// # Errors
/// None.
pub fn poison(stage: &mut Stage) -> io::Result<()> {
    let deep = format!("{}{}", "[".repeat(900), "]".repeat(900));
    let values = ["1e999", "\"\\ud800\"", &deep, "[1e308,-0.0,18446744073709551616]", "{\"a\":1,\"a\":2}"];
    let frames: Vec<_> = values.iter().map(|value| text(&format!(r#"{{"type":"send","data":{value}}}"#))).collect();
    flood(stage, true, 95.0, &frames)
}
