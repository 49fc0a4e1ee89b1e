//! Owns the tests of the embedding of the pages: what build.rs makes of a folder, and of none.
//! Run by `cargo test --test pages`; the build script is included as it is.

#[path = "../build.rs"]
#[allow(dead_code, clippy::print_stdout)] // cargo reads what it prints
mod build_script;

use std::fs;

#[test]
fn without_built_pages_the_table_is_empty() {
    let folder = tempfile::tempdir().expect("a folder");
    assert_eq!(build_script::table(&folder.path().join("dist")).expect("a table"), "&[\n]\n");
}

#[test]
fn every_built_file_is_in_the_table_once_by_path_with_its_type() {
    let dist = tempfile::tempdir().expect("a folder");
    for (path, text) in [
        ("index.html", "<p>"),
        ("assets/demo-1a.js", "1"),
        ("assets/demo-1a.css", "a{}"),
        ("dashboard/index.html", "<p>"),
        ("favicon.svg", "<svg/>"),
        (".built", "x"),
    ] {
        let file = dist.path().join(path);
        fs::create_dir_all(file.parent().expect("a parent")).expect("a folder");
        fs::write(file, text).expect("a file");
    }
    let table = build_script::table(dist.path()).expect("a table");
    let field = |line: &str, name: &str| {
        let (_, rest) = line.split_once(&format!("{name}: \"")).expect("the field");
        rest[..rest.find("\", ").expect("its end")].to_owned()
    };
    let rows: Vec<_> = table.lines().filter(|line| line.contains("Page {")).collect();
    let listed: Vec<_> = rows.iter().map(|row| (field(row, "path"), field(row, "content_type"))).collect();
    let expected = [
        ("/assets/demo-1a.css", "text/css; charset=utf-8"),
        ("/assets/demo-1a.js", "text/javascript; charset=utf-8"),
        ("/dashboard/index.html", "text/html; charset=utf-8"),
        ("/favicon.svg", "image/svg+xml"),
        ("/index.html", "text/html; charset=utf-8"),
    ];
    assert_eq!(listed, expected.map(|(path, kind)| (path.to_owned(), kind.to_owned())));
    assert!(rows[4].contains(&format!("include_bytes!({:?})", dist.path().join("index.html"))), "{table}");
    let tags: Vec<_> = rows.iter().map(|row| field(row, "etag")).collect();
    assert!(tags[2] == tags[4] && tags[1] != tags[4], "the content decides: {tags:?}");
}
