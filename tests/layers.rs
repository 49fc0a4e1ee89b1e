//! Owns the check of the layers (ARCHITECTURE.md): who may import whom, and a few habits that keep
//! files legible. Lists every breach at once.

use std::{collections::BTreeMap, fs, path::Path};

/// Folder or file of src, and what of the crate it may name. `app` may name everything, nobody may
/// name `app`.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    (
        "http",
        &["connection", "registry", "room", "hub", "service", "ws", "gate", "protocol", "config", "observe", "clock"],
    ),
    ("logic", &["room", "protocol"]),
    // The fuzzers call what reads bytes of others, wherever it is.
    ("fuzz", &["room", "hub", "http", "store", "ws", "config", "protocol"]),
    ("internals", &["call", "inspect", "load", "token", "store", "protocol"]),
    ("call", &["token", "whereabouts", "config"]),
    ("token", &["protocol", "config"]),
    ("load", &["token", "ws", "protocol", "config"]),
    ("whereabouts", &["store"]),
    ("inspect", &["room", "hub", "store", "protocol", "clock"]),
    // What a connection talks to is a service: it knows no room, hub or proxy.
    ("connection", &["registry", "service", "ws", "gate", "protocol", "config", "observe", "clock"]),
    ("registry", &["room", "hub", "proxy", "service", "store", "ws", "gate", "protocol", "config", "observe", "clock"]),
    // Rooms do not know one another's kinds, nor any socket: what they hold of `ws` is outboxes and
    // frames.
    ("room", &["service", "store", "ws", "gate", "protocol", "config", "observe", "budget", "clock"]),
    // As rooms: outboxes and frames, no socket.
    ("hub", &["service", "store", "ws", "gate", "protocol", "config", "observe", "budget", "clock"]),
    // As rooms: outboxes and frames, and the upstream's messages; no socket.
    ("proxy", &["service", "ws", "gate", "protocol", "config", "observe", "clock"]),
    ("service", &["ws", "gate", "protocol", "observe"]),
    ("store", &["protocol", "observe"]),
    ("ws", &["protocol", "config", "observe"]),
    ("gate", &["protocol", "config"]),
    ("observe", &["protocol"]),
    ("config", &[]),
    ("protocol", &[]),
    ("budget", &[]),
    ("clock", &[]),
];

/// Pure files: the rules of the game, of the seat and of the dialogue, tested without an actor or a
/// socket.
const PURE: &[&str] = &[
    "connection/heartbeat.rs",
    "connection/machine.rs",
    "connection/machine/claim.rs",
    "connection/machine/due.rs",
    "connection/machine/entry.rs",
    "connection/rates.rs",
    "connection/terms.rs",
    "gate/access.rs",
    "gate/address.rs",
    "gate/credentials.rs",
    "gate/operator.rs",
    "gate/origin.rs",
    "gate/permits.rs",
    "gate/rate.rs",
    "gate/rooms.rs",
    "gate/sockets.rs",
    "gate/token.rs",
    "gate/token/claims.rs",
    "gate/token/player.rs",
    "hub/access.rs",
    "hub/event.rs",
    "hub/fanout.rs",
    "hub/fanout/asking.rs",
    "hub/server_feed.rs",
    "hub/shard_queue.rs",
    "hub/shares.rs",
    "hub/topics.rs",
    "hub/update.rs",
    "hub/uplink/backoff.rs",
    "hub/uplink/codec.rs",
    "hub/uplink/heartbeat.rs",
    "hub/uplink/machine.rs",
    "hub/uplink/machine/keep.rs",
    "hub/uplink/machine/on_message.rs",
    "hub/uplink/matcher.rs",
    "hub/uplink/note.rs",
    "hub/uplink/outage.rs",
    "hub/uplink/output.rs",
    "hub/uplink/pace.rs",
    "hub/uplink/rejection.rs",
    "hub/uplink/rules.rs",
    "hub/uplink/silence.rs",
    "hub/uplink/template.rs",
    "hub/uplink/wanted.rs",
    "load/check.rs",
    "load/message.rs",
    "load/notice.rs",
    "load/schedule.rs",
    "load/target.rs",
    "load/units.rs",
    "proxy/budget.rs",
    "proxy/client.rs",
    "proxy/codes.rs",
    "proxy/filter.rs",
    "proxy/history.rs",
    "proxy/places.rs",
    "proxy/query.rs",
    "proxy/queue.rs",
    "room/audience.rs",
    "room/bans.rs",
    "room/demo_table.rs",
    "room/describe.rs",
    "room/document.rs",
    "room/document/patch.rs",
    "room/document/tree.rs",
    "room/effect.rs",
    "room/fuzz.rs",
    "room/history.rs",
    "room/inspect.rs",
    "room/ledger.rs",
    "room/lineage.rs",
    "room/logic.rs",
    "room/logics.rs",
    "room/record.rs",
    "room/relay.rs",
    "room/seats.rs",
    "room/state.rs",
    "room/state/act.rs",
    "room/state/join.rs",
    "room/state/operate.rs",
    "room/state/patch.rs",
    "room/state/presence.rs",
    "room/state/read.rs",
    "room/state/reopen.rs",
    "room/state/resume.rs",
    "room/state/rules.rs",
    "room/text.rs",
    "room/tic_tac_toe.rs",
    "room/turn.rs",
    "store/keys.rs",
    "ws/outbox/conflated.rs",
    "ws/outbox/policy.rs",
    "ws/outbox/queue.rs",
];

/// In these layers, every file that is pure is listed.
const PURE_LAYERS: &[&str] = &["connection", "gate", "hub", "proxy", "room"];

/// The files of `room` that know the transport: they may name `crate::ws`. All others deal in JSON
/// text.
const ROOM_TRANSPORT: &[&str] =
    &["room/delivery.rs", "room/messages.rs", "room/outlet.rs", "room/rooms.rs", "room/seat.rs", "room/text.rs"];

/// `do_send` goes past a mailbox's bound: only messages of which there is one per connection, room
/// or process.
const MAY_DO_SEND: &[(&str, usize, &str)] = &[
    ("app.rs", 1, "the shards are attached once, before anybody is admitted"),
    ("registry/permit.rs", 1, "a permit is given back once; losing it would leak a place for ever"),
    ("room/opening.rs", 1, "a room opens once"),
    ("room/rooms.rs", 1, "a room closes once"),
    ("hub/handle.rs", 1, "a hub fails a few times at most, maybe in a panic, where nothing can wait"),
    ("room/actor.rs", 2, "a room ends once, maybe in a panic; the ledger counts what it has told a room to cut"),
    ("room/outlet.rs", 1, "a room learns once that its log is somebody else's"),
    (
        "proxy/handle.rs",
        3,
        "a connection leaves its relay once, and a relay is ended once, by a drain or for a newcomer; losing it would keep an upstream",
    ),
    ("room/handle.rs", 1, "a connection leaves its room once; losing it would leak a seat"),
];

const MAX_LINES: usize = 400;
/// Files that are longer, up to this many lines, for a reason.
const LONG_FILES: &[(&str, usize, &str)] = &[];

/// Names that more than one type may have, and why.
const SAME_NAMES: &[(&str, &str)] = &[];

struct Source {
    /// Relative to src, with slashes.
    name: String,
    text: String,
    /// Every path that the code names, `use` groups taken apart: `crate::ws::Outbox`.
    paths: Vec<String>,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("src can be read") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("sources are UTF-8");
                let name = path.strip_prefix(&root).expect("below src").to_string_lossy().replace('\\', "/");
                sources.push(Source { name, paths: paths(&without_comments(&text)), text });
            }
        }
    }
    assert!(sources.len() > 20, "src was not found");
    sources.sort_by(|a, b| a.name.cmp(&b.name));
    sources
}

/// Line comments go, so that prose may name what code may not; the sources have no other comments.
fn without_comments(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Every `a::b::…` in the text, groups `{…}` behind `::` taken apart.
fn paths(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(is_word) {
        rest = &rest[start..];
        rest = path(rest, String::new(), &mut found);
    }
    found
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Reads one path at the start of `text`, behind `prefix`; returns what follows it.
fn path<'a>(text: &'a str, mut prefix: String, found: &mut Vec<String>) -> &'a str {
    let mut rest = text;
    loop {
        let end = rest.find(|character| !is_word(character)).unwrap_or(rest.len());
        prefix.push_str(&rest[..end]);
        rest = &rest[end..];
        let Some(after) = rest.strip_prefix("::") else { break };
        if let Some(mut group) = after.strip_prefix('{') {
            prefix.push_str("::");
            loop {
                group = group.trim_start_matches(|character: char| character.is_whitespace() || character == ',');
                if let Some(after) = group.strip_prefix('}') {
                    return after;
                }
                if !group.starts_with(is_word) {
                    // `*`, or no `use` after all.
                    return group;
                }
                group = path(group, prefix.clone(), found);
                // `x as y`
                group = group.trim_start();
                if let Some(alias) = group.strip_prefix("as ") {
                    group = alias.trim_start_matches(is_word);
                }
            }
        }
        if !after.starts_with(is_word) {
            rest = after;
            break;
        }
        prefix.push_str("::");
        rest = after;
    }
    if prefix.contains("::") {
        found.push(prefix);
    }
    rest
}

/// The folder, or the file at the top, that a source belongs to.
fn layer(name: &str) -> &str {
    name.split('/').next().map_or(name, |first| first.trim_end_matches(".rs"))
}

fn report(breaches: &[String]) {
    assert!(breaches.is_empty(), "{} breaches:\n{}", breaches.len(), breaches.join("\n"));
}

#[test]
fn every_layer_imports_only_what_lies_below_it() {
    let table: BTreeMap<_, _> = MAY_IMPORT.iter().copied().collect();
    let mut breaches = Vec::new();
    for source in sources() {
        let layer = layer(&source.name);
        if matches!(layer, "app" | "lib" | "main") {
            continue;
        }
        let Some(allowed) = table.get(layer) else {
            breaches.push(format!("{}: `{layer}` is not in the table of layers", source.name));
            continue;
        };
        for path in &source.paths {
            if path.contains("super::super::") {
                breaches.push(format!("{}: `{path}` climbs twice; name it from `crate`", source.name));
            }
            let Some(inner) = path.strip_prefix("crate::") else { continue };
            let target = inner.split("::").next().unwrap_or(inner);
            if target != layer && !allowed.contains(&target) {
                breaches.push(format!("{}: `{layer}` may not import `{path}`", source.name));
            }
        }
    }
    report(&breaches);
}

#[test]
fn layers_form_no_circle() {
    let table: BTreeMap<_, _> = MAY_IMPORT.iter().copied().collect();
    let mut settled: Vec<&str> = Vec::new();
    while settled.len() < table.len() {
        let next = table
            .iter()
            .find(|(layer, below)| !settled.contains(layer) && below.iter().all(|below| settled.contains(below)));
        let (layer, _) = next.expect("some layer imports only settled ones");
        settled.push(layer);
    }
}

#[test]
fn only_ws_moves_bytes_over_sockets() {
    let mut breaches = Vec::new();
    for source in sources().iter().filter(|source| layer(&source.name) != "ws") {
        for path in &source.paths {
            let last = path.rsplit("::").next().unwrap_or(path);
            let is_half = matches!(last, "OwnedReadHalf" | "OwnedWriteHalf" | "ReadHalf" | "WriteHalf");
            if path.starts_with("tokio::net") || is_half {
                breaches.push(format!("{}: `{path}`", source.name));
            }
        }
    }
    report(&breaches);
}

/// What makes a file impure: an actor, a runtime, a future, a socket, a file, a thread, the store,
/// the clock. Its tests may use threads and the clock.
fn impurities(source: &Source) -> Vec<String> {
    let is_impure = |path: &str| {
        let first = path.split("::").next().unwrap_or(path);
        // `actix_web_actors::ws` is only the vocabulary of messages.
        matches!(first, "actix" | "actix_rt" | "actix_web" | "actix_http" | "tokio" | "socket2")
            || ["std::fs", "std::net::Tcp", "crate::store::Appender", "crate::store::LogWriter"]
                .iter()
                .any(|start| path.starts_with(start))
    };
    let mut found: Vec<_> =
        source.paths.iter().filter(|path| is_impure(path)).map(|path| format!("`{path}`")).collect();
    let code = source.text.split("#[cfg(test)]").next().unwrap_or_default();
    let clocks = ["Instant::now(", "SystemTime::now(", "Now::read("];
    found.extend(
        clocks.iter().filter(|clock| code.contains(*clock)).map(|clock| format!("`{clock})`: time is an argument")),
    );
    let futures = ["async ", ".await", "poll_fn", "unfold", "std::thread"];
    found.extend(futures.iter().filter(|future| code.contains(*future)).map(|future| format!("`{future}`")));
    found
}

#[test]
fn the_list_of_pure_files_names_those_that_are_and_no_other() {
    let sources = sources();
    let mut breaches = Vec::new();
    for pure in PURE {
        match sources.iter().find(|source| source.name == *pure) {
            Some(source) => breaches.extend(impurities(source).iter().map(|why| format!("{pure}: {why}"))),
            None => breaches.push(format!("{pure}: is gone; correct the list")),
        }
    }
    let is_unlisted = |name: &str| {
        PURE_LAYERS.contains(&layer(name)) && !name.ends_with("mod.rs") && !is_test(name) && !PURE.contains(&name)
    };
    for source in sources.iter().filter(|source| is_unlisted(&source.name)) {
        if impurities(source).is_empty() {
            breaches.push(format!("{}: is pure; list it", source.name));
        }
    }
    report(&breaches);
}

/// The texts in backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn architecture_md_maps_every_part_of_src_and_names_only_files_that_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("ARCHITECTURE.md")).expect("the document");
    let (_, map) = text.split_once("## The code map").expect("the map");
    let map = map.split("\n## ").next().unwrap_or_default();
    let rows: Vec<_> = map.lines().filter_map(|line| line.strip_prefix("| `")?.split(" |").next()).collect();
    let mapped: Vec<_> =
        rows.iter().flat_map(|row| row.split(['`', ',', ' '])).filter(|name| !name.is_empty()).collect();
    let mut breaches = Vec::new();
    for entry in fs::read_dir(root.join("src")).expect("src").map_while(Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let folder = format!("{name}/");
        let names = [name.clone(), folder.clone(), format!("src/{name}"), format!("src/{folder}")];
        if !mapped.iter().any(|mapped| names.iter().any(|name| name == mapped)) {
            breaches.push(format!("src/{name} is not in the code map"));
        }
    }
    for path in quoted(&text).filter(|path| path.ends_with(".rs") || path.starts_with("src/")) {
        if !root.join(path).exists() && !root.join("src").join(path).exists() {
            breaches.push(format!("`{path}` is not there"));
        }
    }
    for (layer, _) in MAY_IMPORT {
        if !map.contains(&format!("`{layer}`")) {
            breaches.push(format!("the sentence about imports leaves out `{layer}`"));
        }
    }
    report(&breaches);
}

#[test]
fn a_rooms_truth_knows_no_transport() {
    let mut breaches = Vec::new();
    for source in sources().iter().filter(|source| layer(&source.name) == "room" && !is_test(&source.name)) {
        let names_it = source.paths.iter().any(|path| path.starts_with("crate::ws"));
        let may = ROOM_TRANSPORT.contains(&source.name.as_str());
        match (names_it, may) {
            (true, false) => breaches.push(format!("{}: names the transport", source.name)),
            (false, true) => breaches.push(format!("{}: knows no transport; strike it from the list", source.name)),
            _ => {}
        }
    }
    report(&breaches);
}

#[test]
fn every_file_says_in_its_first_line_what_it_owns() {
    let lacking = sources().into_iter().filter(|source| {
        let first = source.text.lines().next().unwrap_or_default();
        !first.starts_with("//! Owns ") || first.len() < 20
    });
    report(&lacking.map(|source| source.name).collect::<Vec<_>>());
}

#[test]
fn no_file_lists_its_callers() {
    let listing =
        sources().into_iter().filter(|source| source.text.lines().any(|line| line.starts_with("//! Called by")));
    report(&listing.map(|source| source.name).collect::<Vec<_>>());
}

#[test]
fn no_two_types_have_one_name() {
    let mut homes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in sources().iter().filter(|source| !is_test(&source.name)) {
        for name in types(&source.text) {
            homes.entry(name).or_default().push(source.name.clone());
        }
    }
    let excepted = |name: &str| SAME_NAMES.iter().any(|(known, _)| *known == name);
    let breaches: Vec<_> = homes
        .iter()
        .filter(|(name, homes)| homes.len() > 1 && !excepted(name))
        .map(|(name, homes)| format!("`{name}` is declared in {}", homes.join(", ")))
        .chain(
            SAME_NAMES
                .iter()
                .filter(|(name, _)| homes.get(*name).is_none_or(|homes| homes.len() < 2))
                .map(|(name, _)| format!("`{name}` is declared once; strike it from SAME_NAMES")),
        )
        .collect();
    report(&breaches);
    assert!(SAME_NAMES.len() <= 10, "rename a type instead");
}

/// Whether a file holds only tests and what they need.
fn is_test(name: &str) -> bool {
    name.split('/').any(|part| matches!(part, "tests" | "tests.rs" | "testing") || part.contains("_tests"))
}

/// The names of the types that a source declares, private ones and those inside functions too.
fn types(text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let declared = |line: &str| {
        let mut words = line.split(|character: char| !is_word(character)).filter(|word| !word.is_empty());
        // `type` inside a trait or an impl names an associated type, which has no name of its own.
        let is_indented = line.starts_with(' ');
        let kind = words.find(|word| !matches!(*word, "pub" | "crate" | "super" | "in"))?;
        let is_type = matches!(kind, "struct" | "enum" | "trait" | "union") || (kind == "type" && !is_indented);
        words.next().filter(|name| is_type && name.starts_with(char::is_uppercase)).map(str::to_owned)
    };
    without_comments(code).lines().filter_map(declared).collect()
}

#[test]
fn types_are_found_wherever_they_are_declared() {
    let text = "pub(super) struct A<T>(T);\nenum B {\n    C,\n}\nfn f() {\n    struct D;\n}\nimpl Iterator for B {\n    \
                type Item = A;\n}\ntype E = A;\n// struct F;\n#[cfg(test)]\nmod tests {\n    struct G;\n}";
    assert_eq!(types(text), ["A", "B", "D", "E"]);
}

#[test]
fn no_file_is_too_long_to_be_read_in_one_sitting() {
    let mut breaches = Vec::new();
    for source in sources() {
        let long = LONG_FILES.iter().find(|(name, ..)| *name == source.name);
        let (lines, max) = (source.text.lines().count(), long.map_or(MAX_LINES, |(_, max, _)| *max));
        if lines > max {
            breaches.push(format!("{}: {lines} lines, at most {max}", source.name));
        }
        if long.is_some() && lines <= MAX_LINES {
            breaches.push(format!("{}: is no longer long; strike it from LONG_FILES", source.name));
        }
    }
    report(&breaches);
}

#[test]
fn mailboxes_are_overrun_only_where_the_table_says_why() {
    let mut breaches = Vec::new();
    for source in sources() {
        let count = without_comments(&source.text).matches("do_send(").count();
        let allowed = MAY_DO_SEND.iter().find(|(name, ..)| *name == source.name).map_or(0, |(_, count, _)| *count);
        if count != allowed {
            breaches.push(format!("{}: {count} do_send, the table has {allowed}", source.name));
        }
    }
    report(&breaches);
}

#[test]
fn the_reader_of_paths_takes_groups_apart() {
    let text =
        "use crate::{a::{B, c::D as E}, f::*};\nlet x = crate::g::h(1); use tokio::{io, net::{TcpStream, tcp::X}};";
    let expected = [
        "crate::a::B",
        "crate::a::c::D",
        "crate::f",
        "crate::g::h",
        "tokio::io",
        "tokio::net::TcpStream",
        "tokio::net::tcp::X",
    ];
    assert_eq!(paths(text), expected);
}
