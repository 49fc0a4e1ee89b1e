//! Owns the check that README, env.example, config.example.yaml, docs/feeds.md and docs/migrate.md
//! say what the tables in the code say. `UPDATE_DOCS=1 cargo test --test settings_table` writes the
//! files anew.

use std::{fs, path::Path};

use innkeeper::config::table::{env_example, feeds_reference, foreign_reference, readme_table, yaml_example};

/// `expected` makes the whole file of the file as it is.
fn check(file: &str, expected: impl Fn(&str) -> String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let actual = fs::read_to_string(&path).unwrap_or_default().replace("\r\n", "\n");
    let expected = expected(&actual);
    if actual == expected {
        return;
    }
    if std::env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1") {
        fs::write(&path, expected).expect("the file can be written");
        return;
    }
    let line = actual.lines().zip(expected.lines()).take_while(|(a, b)| a == b).count();
    panic!(
        "{file} differs from what src/config/docs.rs makes at line {}.\nRun `UPDATE_DOCS=1 cargo test --test settings_table`, or \
         make {file} read:\n\n{expected}",
        line + 1
    );
}

/// `document` with `table` between two comments that bear `name`.
fn between(document: &str, name: &str, table: &str) -> String {
    let (begin, end) = (format!("<!-- {name}:begin -->\n"), format!("<!-- {name}:end -->"));
    let (before, rest) = document.split_once(&begin).unwrap_or_else(|| panic!("there is no line {begin}"));
    let (_, after) = rest.split_once(&end).unwrap_or_else(|| panic!("there is no {end}"));
    format!("{before}{begin}{table}{end}{after}")
}

#[test]
fn the_readmes_settings_table_is_the_codes() {
    check("README.md", |readme| between(readme, "settings", &readme_table()));
}

#[test]
fn the_keys_of_feeds_and_proxies_are_the_codes() {
    check("docs/feeds.md", |feeds| between(feeds, "keys", &feeds_reference()));
}

#[test]
fn the_names_of_other_servers_are_the_codes() {
    check("docs/migrate.md", |migrate| between(migrate, "foreign", &foreign_reference()));
}

#[test]
fn env_example_is_the_codes() {
    check("env.example", |_| env_example());
}

#[test]
fn config_example_yaml_is_the_codes() {
    check("config.example.yaml", |_| yaml_example());
}
