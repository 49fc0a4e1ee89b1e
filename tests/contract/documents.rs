//! Owns the test of the documents' commands: every line of every `sh` block is run against the real
//! server, in its order.
//!
//! A block that types into websocat is followed by a `json` block; its frames of clients are typed.
//! `websocat` is tests/programs/websocat_stand_in.rs, which reads its arguments as websocat 1.x
//! does; `curl` fails for a status of 400 or more.

mod inn;

use self::inn::Inn;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Lines that are not run here: the document, how the line begins, and why.
const NOT_RUN: &[(&str, &str, &str)] = &[
    ("README.md", "scripts/test", "it is what runs this test"),
    ("README.md", "docker build ", "it needs Docker, and builds for minutes"),
    ("docs/performance.md", "cargo build --release", "CI builds it; here it would take minutes"),
    ("docs/performance.md", "measure ", "it loads the machine for minutes, and the tool is not in the repository"),
    ("docs/performance.md", "FLUSH_INTERVAL_MS=16 measure ", "likewise"),
    ("docs/load.md", "innkeeper load wss://play.example", "it has another server"),
    ("docs/load.md", "innkeeper load ws://localhost:8080 --droppers", "tests/contract/load.rs has such players"),
    ("docs/load.md", "innkeeper load ws://localhost:8080 --for 30s --at 10s", "tests/contract/load.rs kills a server"),
    ("docs/load.md", "innkeeper load ws://localhost:8080 --soak 20m", "it takes 20 minutes"),
    ("docs/load.md", "MAX_CONNECTIONS_PER_IP=100000", "it starts a second server"),
];

/// Every document with commands, and what the server and the commands of it have in their
/// environment.
const DOCUMENTS: &[(&str, &[(&str, &str)])] = &[
    ("README.md", &[]),
    ("docs/feeds.md", &[]),
    ("docs/load.md", &[]),
    ("docs/migrate.md", &[]),
    ("docs/operations.md", &[("HTTP_API_SECRET", SECRET)]),
    ("docs/performance.md", &[]),
    ("docs/protocol.md", &[]),
];

/// A fenced block: its language and its lines.
struct Block {
    language: String,
    lines: Vec<String>,
}

fn read(document: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(document);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{document}: {error}")).replace("\r\n", "\n")
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for line in text.lines() {
        match (line.trim_start().strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(language), None) => open = Some(Block { language: language.trim().into(), lines: Vec::new() }),
            (None, Some(block)) => block.lines.push(line.trim().to_owned()),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block without an end");
    blocks
}

/// What a client types of a `json` block.
fn typed(block: Option<&Block>) -> Vec<String> {
    let lines = block.filter(|block| block.language == "json").map(|block| block.lines.as_slice()).unwrap_or_default();
    let is_clients = |line: &&String| {
        let frame: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
        ["send", "patch", "subscribe", "ping"].iter().any(|kind| frame["type"] == *kind)
    };
    lines.iter().filter(is_clients).cloned().collect()
}

fn run(document: &str, settings: &[(&str, &str)]) {
    let blocks = blocks(&read(document));
    let mut inn = Inn::new(document, settings);
    for (index, block) in blocks.iter().enumerate().filter(|(_, block)| block.language == "sh") {
        let typed = typed(blocks.get(index + 1));
        let last = block.lines.iter().rposition(|line| line.contains("websocat"));
        inn.begin_block();
        for (number, line) in block.lines.iter().enumerate().filter(|(_, line)| !line.is_empty()) {
            if NOT_RUN.iter().any(|(of, begin, _)| *of == document && line.starts_with(begin)) {
                continue;
            }
            inn.run(line, if last == Some(number) { &typed } else { &[] });
        }
    }
}

#[test]
fn every_command_of_the_readme_works() {
    run("README.md", DOCUMENTS[0].1);
}

#[test]
fn every_command_of_the_other_documents_works() {
    for (document, settings) in &DOCUMENTS[1..] {
        run(document, settings);
    }
}

#[test]
fn no_document_with_commands_and_no_excuse_is_forgotten() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = std::fs::read_dir(root.join("docs")).expect("docs").map(|entry| entry.expect("an entry").path());
    let names = docs.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let names = names.map(|path| format!("docs/{}", path.file_name().expect("a name").to_string_lossy()));
    for name in names.chain(["README.md".to_owned(), "frontend-client/client/README.md".to_owned()]) {
        let has_commands = blocks(&read(&name)).iter().any(|block| block.language == "sh");
        assert!(!has_commands || DOCUMENTS.iter().any(|(known, _)| *known == name), "{name} is not run");
        // Under another name they would not be found.
        let other =
            blocks(&read(&name)).into_iter().find(|block| ["bash", "shell", "console"].contains(&&*block.language));
        assert!(other.is_none(), "{name}: write ```sh");
    }
    for (document, begin, _) in NOT_RUN {
        let is_there =
            blocks(&read(document)).iter().any(|block| block.lines.iter().any(|line| line.starts_with(begin)));
        assert!(is_there, "{document} has no line {begin} any more");
    }
}

#[test]
fn a_command_that_websocat_refuses_is_found() {
    let mut inn = Inn::new("a test", &[]);
    inn.begin_block();
    inn.run("websocat -H='X-Any: 1' --origin http://localhost:8080 ws://localhost:8080/ws/g/p", &[]);
    for wrong in [
        "websocat -H 'X-Any: 1' ws://localhost:8080/ws/g/p",
        "websocat --headers='X-Any: 1' ws://localhost:8080/ws/g/p",
        "websocat ws://localhost:8080/nowhere",
        "curl localhost:8080/api/games",
        "innkeeper api GET /api/games/nowhere",
        "no-such-command",
    ] {
        let run = std::panic::AssertUnwindSafe(|| inn.run(wrong, &[]));
        assert!(std::panic::catch_unwind(run).is_err(), "{wrong}");
    }
}
