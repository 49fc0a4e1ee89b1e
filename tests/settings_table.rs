//! Owns the check that README's settings table, env.example and config.example.yaml say what the table in the code says.
//! Run by `cargo test`; `UPDATE_DOCS=1 cargo test --test settings_table` writes the three files anew.

use std::{fs, path::Path};

use innkeeper::config::table::{env_example, readme_table, yaml_example};

const BEGIN: &str = "<!-- settings:begin -->\n";
const END: &str = "<!-- settings:end -->";

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
        "{file} differs from src/config/table.rs at line {}.\nRun `UPDATE_DOCS=1 cargo test --test settings_table`, or \
         make {file} read:\n\n{expected}",
        line + 1
    );
}

#[test]
fn the_readmes_settings_table_is_the_codes() {
    check("README.md", |readme| {
        let (before, rest) = readme.split_once(BEGIN).expect("README.md has no line <!-- settings:begin -->");
        let (_, after) = rest.split_once(END).expect("README.md has no <!-- settings:end -->");
        format!("{before}{BEGIN}{}{END}{after}", readme_table())
    });
}

#[test]
fn env_example_is_the_codes() {
    check("env.example", |_| env_example());
}

#[test]
fn config_example_yaml_is_the_codes() {
    check("config.example.yaml", |_| yaml_example());
}
