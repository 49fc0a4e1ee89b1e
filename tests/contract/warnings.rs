//! Owns the tests of warnings at the start: variables that are not read, and the setting that is
//! probably meant.

use crate::{startup::refused, support::Server};

const PROGRAM: &str = env!("CARGO_BIN_EXE_innkeeper");

#[test]
fn a_variable_that_is_set_and_not_read_is_a_warning_that_names_it_and_never_its_value() {
    let server = Server::start(&[
        ("DATABASE_URL", "postgresql://u:hunter2@db.invalid:5432/x"),
        ("REDIS_URL", "redis://:hunter2@r.invalid:6379"),
        ("WEBSOCKET_PORT", "9999"),
        ("JWT_SECERT", "hunter2-hunter2-hunter2-hunter2-"),
        ("ALLOWED_ORIGIN", "https://hunter2.example"),
        ("MAX_WS_CONNECTIONS", "5"),
        ("NODE_ENV", "production"),
    ]);
    for (name, instead) in [
        ("DATABASE_URL", "DATA_DIR"),
        ("REDIS_URL", "one instance"),
        ("WEBSOCKET_PORT", "PORT"),
        ("JWT_SECERT", "did you mean JWT_SECRET?"),
        ("ALLOWED_ORIGIN", "did you mean ALLOWED_ORIGINS?"),
        ("MAX_WS_CONNECTIONS", "MAX_UPSTREAM_CONNECTIONS"),
    ] {
        let line = server.wait_for_log(|line| line["setting"] == name);
        let message = line["message"].as_str().expect("a message");
        assert!(line["level"] == "warn" && message.starts_with(name) && message.contains(instead), "{line}");
    }
    let log = server.log_text();
    assert_eq!(log.matches("\"setting\"").count(), 6, "one line each, and none for NODE_ENV: {log}");
    assert!(!log.contains("hunter2"), "{log}");
}

#[test]
fn a_start_that_is_refused_names_the_misspelt_variable_as_well() {
    let settings = [("RENDER", "true"), ("JWT_SECERT", "hunter2-hunter2-hunter2-hunter2-")];
    let (code, text) = refused(Server::command(PROGRAM, &settings));
    assert_eq!(code, 64, "{text}");
    assert!(text.contains("JWT_SECRET:") && text.contains("JWT_SECERT: is set and not read"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn a_nested_key_of_another_servers_config_yaml_is_told_with_ours() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("config.yaml");
    std::fs::write(&file, "websocket:\n  enabled: true\nevent_bus:\n  enabled: true\n").expect("a file");
    let mut command = Server::command(PROGRAM, &[]);
    command.env("CONFIG_FILE", &file);
    let (code, text) = refused(command);
    assert_eq!(code, 64, "{text}");
    for part in ["line 2", "websocket_enabled", "line 4", "\"event_bus.enabled\"; an event bus is a hub"] {
        assert!(text.contains(part), "{part} in {text}");
    }
}
