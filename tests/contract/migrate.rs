//! Owns the check of docs/migrate.md: every setting, key, endpoint and close code in it exists.

use innkeeper::config::{feeds::VARIABLES, table::SETTINGS};

use crate::support::Server;

/// The right cells of all tables but the generated one, each with the left one.
fn rows() -> Vec<(String, String)> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/migrate.md");
    let text = std::fs::read_to_string(path).expect("docs/migrate.md");
    let text = text.split("<!-- foreign:begin -->").next().expect("a text");
    let cells = text.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | "));
    let rows: Vec<_> = cells.map(|(there, here)| (there.to_owned(), here.to_owned())).collect();
    assert!(rows.len() > 60, "the tables were not found");
    rows
}

/// What stands between backticks.
fn names(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_setting_that_the_guide_names_as_ours_is_one() {
    let known: Vec<&str> = SETTINGS
        .iter()
        .flat_map(|setting| [setting.name].into_iter().chain(setting.aliases.iter().copied()))
        .chain(VARIABLES.iter().map(|variable| variable.name))
        .collect();
    let mut seen = 0;
    for (there, here) in rows() {
        for name in names(&here) {
            let name = name.split('=').next().expect("a name");
            let is_setting = name.starts_with(|c: char| c.is_ascii_uppercase())
                && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
                && !name.starts_with("WS_CONNECTION_");
            if is_setting {
                assert!(known.contains(&name), "{name} in place of {there}");
                seen += 1;
            }
        }
        // A key of config.yaml stands for one of another config.yaml.
        if there.starts_with("`websocket.") || there.starts_with("`state.") {
            for key in names(&here) {
                assert!(known.contains(&&*key.to_ascii_uppercase()), "{key} in place of {there}");
            }
        }
    }
    assert!(seen > 30, "{seen}");
}

#[test]
fn every_endpoint_that_the_guide_names_as_ours_answers() {
    let server = Server::start(&[("HUBS", "events=bus,hub=bus,options=massive-options,indices=massive-indices")]);
    for game in ["game", "test-game"] {
        drop(server.connect(&format!("/ws/{game}/bob")).welcomed());
    }
    let key = format!("Bearer {}", std::fs::read_to_string(server.data().file("operator.key")).expect("a key").trim());
    let mut seen = 0;
    for (there, here) in rows() {
        for name in names(&here) {
            let (method, path) = name.split_once(' ').unwrap_or(("GET", &name));
            if !path.starts_with('/') || !method.bytes().all(|byte| byte.is_ascii_uppercase()) {
                continue;
            }
            let path = path.replace(['{', '}'], "");
            let body = match path.rsplit('/').next() {
                Some("kick") => r#"{"player":"bob"}"#,
                _ => r#"{"data":1}"#,
            };
            let body = (method != "GET").then_some(body);
            let answer = server.request(method, &path, &[("Authorization", key.trim())], body);
            assert!([200, 426].contains(&answer.status), "{name} in place of {there}: {answer:?}");
            seen += 1;
        }
    }
    assert!(seen > 15, "{seen}");
    assert_eq!(server.get("/nowhere").status, 404, "what is not there");
}

#[test]
fn every_close_code_that_the_guide_names_as_ours_is_in_the_contract() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/protocol.md");
    let contract = std::fs::read_to_string(path).expect("docs/protocol.md");
    let (_, codes) = contract.split_once("## 4. Close codes").expect("section 4");
    let codes = codes.split("\nC1.").next().expect("the table");
    for (there, here) in rows() {
        let words = here.split(|c: char| !c.is_ascii_alphanumeric());
        for code in words.filter(|word| word.len() == 4 && word.starts_with('4')) {
            assert!(codes.contains(code), "{code} in place of {there}");
        }
    }
}
