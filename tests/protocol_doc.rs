//! Owns the check of docs/protocol.md's last section: every clause of the contract names tests that exist.
//! Run by `cargo test`; `UPDATE_DOCS=1 cargo test --test protocol_doc` adds the tests that bear a clause's id.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// Sections 1 to 7, and what there is of section 8.
const CLAUSES: &[(&str, u32)] =
    &[("P", 4), ("A", 13), ("S", 10), ("B", 2), ("R", 6), ("C", 1), ("D", 5), ("H", 7), ("X", 4), ("E", 1)];

/// Clauses that nothing here can prove, or not wholly; their row ends with the reason.
const OPEN: &[(&str, &str)] = &[
    ("C1", "issue: a rule for clients, proved by the client's own tests"),
    ("D2", "issue: PostgreSQL is not there yet"),
];

const HEADING: &str = "\n## Proof\n";
const INTRODUCTION: &str = "
Each clause and the tests that prove it: `module::test` is a test in `tests/contract/module.rs`, a longer path one under
`src/`, `chaos::…` one in `tests/chaos/`. `cargo test --test protocol_doc` checks that they exist; with `UPDATE_DOCS=1` it adds those that bear a clause's id.

| clause | test |
|---|---|
";

fn clauses() -> impl Iterator<Item = String> {
    CLAUSES.iter().flat_map(|(letter, count)| (1..=*count).map(move |n| format!("{letter}{n}")))
}

fn reason(clause: &str) -> Option<&'static str> {
    OPEN.iter().find(|(open, _)| *open == clause).map(|(_, reason)| *reason)
}

/// Every test there is, as the table names it.
fn tests() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = BTreeSet::new();
    for (folder, prefix) in [("src", ""), ("tests/contract", ""), ("tests/chaos", "chaos::")] {
        let root = root.join(folder);
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).expect("the folder can be read") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let module = path.with_extension("");
                    let module = module.strip_prefix(&root).expect("below the folder").to_string_lossy();
                    let module = module.replace(['/', '\\'], "::");
                    let text = fs::read_to_string(&path).expect("sources are UTF-8");
                    found.extend(test_names(&text).map(|name| format!("{prefix}{module}::{name}")));
                }
            }
        }
    }
    found
}

/// The functions that are tests: the first `fn` behind each `#[test]`.
fn test_names(text: &str) -> impl Iterator<Item = &str> {
    text.split("#[test]").skip(1).filter_map(|rest| {
        let name = rest.lines().find_map(|line| line.trim_start().strip_prefix("fn "))?;
        name.split('(').next()
    })
}

/// What the document says now: the tests in backticks behind each clause.
fn rows(proof: &str) -> BTreeMap<String, Vec<String>> {
    let mut rows = BTreeMap::new();
    for line in proof.lines() {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        if let [clause, tests] = cells[..]
            && line.starts_with('|')
            && !matches!(clause, "clause" | "---")
        {
            let tests = tests.split('`').skip(1).step_by(2).map(str::to_owned).collect();
            rows.insert(clause.to_owned(), tests);
        }
    }
    rows
}

fn table(rows: &BTreeMap<String, Vec<String>>, tests: &BTreeSet<String>) -> String {
    let mut table = String::new();
    for clause in clauses() {
        let prefix = format!("{}_", clause.to_lowercase());
        let named = rows.get(&clause).into_iter().flatten().filter(|test| tests.contains(*test));
        let bearing =
            tests.iter().filter(|test| test.rsplit("::").next().is_some_and(|name| name.starts_with(&prefix)));
        let proofs: BTreeSet<_> = named.chain(bearing).map(|test| format!("`{test}`")).collect();
        let reason = reason(&clause).map(str::to_owned);
        let cell = proofs.into_iter().chain(reason).collect::<Vec<_>>().join("; ");
        table.push_str(&format!("| {clause} | {cell} |\n"));
    }
    table
}

#[test]
fn every_clause_of_the_contract_names_tests_that_exist() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/protocol.md");
    let text = fs::read_to_string(&path).expect("docs/protocol.md").replace("\r\n", "\n");
    let (contract, proof) = text.split_once(HEADING).unwrap_or((&text, ""));
    let tests = tests();
    if std::env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1") {
        let table = table(&rows(proof), &tests);
        let contract = contract.trim_end();
        fs::write(&path, format!("{contract}\n{HEADING}{INTRODUCTION}{table}")).expect("the file can be written");
    }
    let text = fs::read_to_string(&path).expect("docs/protocol.md");
    let rows = text.split_once(HEADING).map(|(_, proof)| rows(proof)).unwrap_or_default();

    let mut problems = Vec::new();
    for clause in clauses() {
        if !contract.contains(&format!("{clause}. ")) && !contract.contains(&format!("| {clause} ")) {
            problems.push(format!("{clause}: the contract above does not state it"));
        }
        match rows.get(&clause) {
            None => problems.push(format!("{clause}: has no row")),
            Some(named) if named.is_empty() && reason(&clause).is_none() => {
                problems.push(format!("{clause}: names no test"));
            }
            Some(named) => {
                let missing = named.iter().filter(|test| !tests.contains(*test));
                problems.extend(missing.map(|test| format!("{clause}: there is no test {test}")));
            }
        }
    }
    let known: BTreeSet<_> = clauses().collect();
    problems.extend(rows.keys().filter(|clause| !known.contains(*clause)).map(|clause| format!("{clause}: no clause")));
    assert!(problems.is_empty(), "docs/protocol.md, section Proof:\n{}", problems.join("\n"));
}

#[test]
fn tests_are_told_from_other_functions() {
    let text = "fn no() {}\n#[test]\n#[ignore]\nfn a_test() {\n fn inner() {}\n}\n  #[test]\n  fn other(x in 0..9) {}";
    assert_eq!(test_names(text).collect::<Vec<_>>(), ["a_test", "other"]);
}
