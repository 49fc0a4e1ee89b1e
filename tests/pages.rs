//! Owns the tests of the embedding of the pages: what build.rs makes of a folder, and of none. The
//! build script is included as it is.

#[path = "../build.rs"]
#[allow(dead_code, unreachable_pub, clippy::print_stdout)] // cargo reads what it prints
mod build_script;

use std::fs;

#[test]
fn without_built_pages_the_table_is_empty() {
    let folder = tempfile::tempdir().expect("a folder");
    assert_eq!(build_script::table(&folder.path().join("dist"), folder.path()).expect("a table"), "&[\n]\n");
}

#[test]
fn every_built_file_is_in_the_table_once_by_path_with_its_type() {
    let dist = tempfile::tempdir().expect("a folder");
    for (path, text) in [
        ("index.html", "<p>"),
        ("assets/demo-1a.js", "1"),
        ("assets/demo-1a.css", "a{}"),
        ("dashboard/index.html", "<p>"),
        ("client.d.ts", "export {};"),
        ("client.js.map", "{}"),
        ("favicon.svg", "<svg/>"),
        (".built", "x"),
    ] {
        let file = dist.path().join(path);
        fs::create_dir_all(file.parent().expect("a parent")).expect("a folder");
        fs::write(file, text).expect("a file");
    }
    let out = tempfile::tempdir().expect("a folder");
    let table = build_script::table(dist.path(), out.path()).expect("a table");
    let field = |line: &str, name: &str| {
        let (_, rest) = line.split_once(&format!("{name}: \"")).expect("the field");
        rest[..rest.find("\", ").expect("its end")].to_owned()
    };
    let rows: Vec<_> = table.lines().filter(|line| line.contains("PageFile {")).collect();
    let listed: Vec<_> = rows.iter().map(|row| (field(row, "path"), field(row, "content_type"))).collect();
    let expected = [
        ("/assets/demo-1a.css", "text/css; charset=utf-8"),
        ("/assets/demo-1a.js", "text/javascript; charset=utf-8"),
        ("/client.d.ts", "application/typescript; charset=utf-8"),
        ("/client.js.map", "application/json"),
        ("/dashboard/index.html", "text/html; charset=utf-8"),
        ("/favicon.svg", "image/svg+xml"),
        ("/index.html", "text/html; charset=utf-8"),
    ];
    assert_eq!(listed, expected.map(|(path, kind)| (path.to_owned(), kind.to_owned())));
    // The compiler reads copies, whatever becomes of the pages meanwhile.
    drop(dist);
    let (_, copy) = rows[6].split_once("include_bytes!(\"").expect("a file");
    let copy = std::path::Path::new(&copy[..copy.find('"').expect("its end")]);
    assert!(copy.starts_with(out.path()), "{table}");
    assert_eq!(fs::read_to_string(copy).expect("a copy"), "<p>");
    let tags: Vec<_> = rows.iter().map(|row| field(row, "etag")).collect();
    assert!(tags[4] == tags[6] && tags[1] != tags[6], "the content decides: {tags:?}");
}

#[test]
fn pages_that_are_replaced_meanwhile_are_all_of_one_build() {
    const FILES: usize = 20;
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let build = |name: &str, number: usize| {
        fs::create_dir(at(name)).expect("a folder");
        for file in 0..FILES {
            fs::write(at(name).join(format!("{file}-{number}.js")), number.to_string()).expect("a file");
        }
    };
    build("dist", 0);
    std::thread::scope(|scope| {
        // As scripts/pages does it.
        let building = scope.spawn(|| {
            for number in 1..=100 {
                build("dist.new", number);
                fs::rename(at("dist"), at("dist.old")).expect("away");
                fs::rename(at("dist.new"), at("dist")).expect("in place");
                fs::remove_dir_all(at("dist.old")).expect("gone");
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
        });
        while !building.is_finished() {
            let table = build_script::table(&at("dist"), &at("out")).expect("a table");
            let tags: std::collections::HashSet<_> =
                table.lines().filter_map(|line| line.split_once("etag: ")).map(|(_, rest)| &rest[..20]).collect();
            assert_eq!((table.lines().count(), tags.len()), (FILES + 2, 1), "{table}");
        }
    });
}
