//! Owns docs/proof.md: every clause that docs/protocol.md states names tests that exist.
//! `UPDATE_DOCS=1 cargo test --test protocol_doc` adds the tests that bear a clause's id.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Clauses that no test here can prove, or not wholly; their row ends with the reason.
const OPEN: &[(&str, &str)] = &[
    ("C1", "issue: a rule for clients, proved by the client's own tests"),
    ("D2", "issue: PostgreSQL is not there yet"),
];

const INTRODUCTION: &str = "\
# Proof

Each clause of [the wire contract](protocol.md) and the tests that prove it: `module::test` is a test in
`tests/contract/module.rs`, a longer path one under `src/`, `chaos::…` one in `tests/chaos/`.
`cargo test --test protocol_doc` checks that they exist; with `UPDATE_DOCS=1` it adds those whose name
begins with the clause's id.

| clause | test |
|---|---|
";

/// The ids that the contract states, in its order: a line `A5a. …`, or a row `| A5 …` of a table.
fn clauses(contract: &str) -> Vec<String> {
    let ids = contract.lines().filter_map(|line| {
        let id = match line.strip_prefix("| ") {
            Some(row) => row.split(' ').next()?,
            None => line.split_once(". ")?.0,
        };
        is_clause(id).then(|| id.to_owned())
    });
    let mut seen = BTreeSet::new();
    ids.filter(|id| seen.insert(id.clone())).collect()
}

/// A capital letter, a number, perhaps a small letter.
fn is_clause(id: &str) -> bool {
    let Some(rest) = id.strip_prefix(|c: char| c.is_ascii_uppercase()) else { return false };
    let number = rest.strip_suffix(|c: char| c.is_ascii_lowercase()).unwrap_or(rest);
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

fn docs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)
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

fn table(clauses: &[String], rows: &BTreeMap<String, Vec<String>>, tests: &BTreeSet<String>) -> String {
    let mut table = String::new();
    for clause in clauses {
        let prefix = format!("{}_", clause.to_lowercase());
        let named = rows.get(clause).into_iter().flatten().filter(|test| tests.contains(*test));
        let bearing =
            tests.iter().filter(|test| test.rsplit("::").next().is_some_and(|name| name.starts_with(&prefix)));
        let proofs: BTreeSet<_> = named.chain(bearing).map(|test| format!("`{test}`")).collect();
        let reason = reason(clause).map(str::to_owned);
        let cell = proofs.into_iter().chain(reason).collect::<Vec<_>>().join("; ");
        table.push_str(&format!("| {clause} | {cell} |\n"));
    }
    table
}

#[test]
fn every_clause_of_the_contract_names_tests_that_exist() {
    let contract = fs::read_to_string(docs("protocol.md")).expect("docs/protocol.md").replace("\r\n", "\n");
    let clauses = clauses(&contract);
    let read = || fs::read_to_string(docs("proof.md")).expect("docs/proof.md").replace("\r\n", "\n");
    let tests = tests();
    if std::env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1") {
        let table = table(&clauses, &rows(&read()), &tests);
        fs::write(docs("proof.md"), format!("{INTRODUCTION}{table}")).expect("the file can be written");
    }
    let rows = rows(&read());

    let mut problems = Vec::new();
    for clause in &clauses {
        match rows.get(clause) {
            None => problems.push(format!("{clause}: has no row")),
            Some(named) if named.is_empty() && reason(clause).is_none() => {
                problems.push(format!("{clause}: names no test"));
            }
            Some(named) => {
                let missing = named.iter().filter(|test| !tests.contains(*test));
                problems.extend(missing.map(|test| format!("{clause}: there is no test {test}")));
            }
        }
    }
    problems.extend(rows.keys().filter(|row| !clauses.contains(row)).map(|row| format!("{row}: no clause")));
    assert!(problems.is_empty(), "docs/proof.md:\n{}", problems.join("\n"));
}

#[test]
fn the_contracts_clauses_are_found_and_nothing_else() {
    let text = "P1. one\n| A5a | two |\n  A6. indented\n| check | x |\nNote. no\nA1 to A6. no\nX. no\nP1. again";
    assert_eq!(clauses(text), ["P1", "A5a"]);
}

#[test]
fn tests_are_told_from_other_functions() {
    let text = "fn no() {}\n#[test]\n#[ignore]\nfn a_test() {\n fn inner() {}\n}\n  #[test]\n  fn other(x in 0..9) {}";
    assert_eq!(test_names(text).collect::<Vec<_>>(), ["a_test", "other"]);
}
