//! What a caller can make grow has a cap, and the table in `docs/security.md` says which.

use serde_json::json;

use crate::support::{Lucid, root};

/// Rows of the table: what grows, its cap, where that is.
fn rows() -> Vec<[String; 3]> {
    let text = std::fs::read_to_string(root().join("docs/security.md")).unwrap();
    let table =
        text.split("## What a caller can make grow").nth(1).unwrap().split("\n## ").next().unwrap();
    let cells = |line: &str| {
        line.split(" | ").map(|cell| cell.trim_matches(['|', ' ']).to_owned()).collect::<Vec<_>>()
    };
    let rows = table
        .lines()
        .filter(|line| line.starts_with("| memory: ") || line.starts_with("| store: "))
        .map(cells);
    rows.map(|cells| [cells[0].clone(), cells[1].clone(), cells[2].clone()]).collect()
}

/// The first number of a text that writes thousands with commas.
fn number(text: &str) -> Option<u64> {
    let digits = text
        .split(|c: char| !c.is_ascii_digit() && c != ',')
        .find(|part| part.starts_with(|c: char| c.is_ascii_digit()))?;
    digits.replace(',', "").parse().ok()
}

/// Numbers that follow a name in a source file: `NAME: type = 1_000`, `name: 1_000`.
fn numbers_of(name: &str, source: &str) -> Vec<u64> {
    let after = source
        .match_indices(name)
        .map(|(at, _)| &source[at + name.len()..])
        .filter(|after| after.starts_with(':'));
    let value = |after: &str| {
        let line = after.lines().next()?;
        let value = line.split_once(" = ").map_or(line, |(_, value)| value);
        let digits: String = value
            .chars()
            .skip_while(|c| !c.is_ascii_digit())
            .take_while(|c| c.is_ascii_digit() || *c == '_')
            .collect();
        digits.replace('_', "").parse().ok()
    };
    after.filter_map(value).collect()
}

#[test]
fn the_table_of_caps_names_what_the_code_does() {
    let rows = rows();
    assert!(rows.len() >= 20, "{rows:?}");
    let settings: String = ["sections", "server", "telemetry", "webhooks"]
        .map(|name| {
            std::fs::read_to_string(root().join(format!("host/lucid/config/{name}.rs"))).unwrap()
        })
        .concat();
    for [what, cap, place] in rows {
        let mut quoted = place.split('`').skip(1).step_by(2);
        let name = quoted.next().unwrap();
        let (source, name) = match quoted.next() {
            Some(file) => (
                std::fs::read_to_string(root().join(file))
                    .unwrap_or_else(|error| panic!("{what}: {file}: {error}")),
                name,
            ),
            None => (settings.clone(), name.rsplit('.').next().unwrap()),
        };
        assert!(source.contains(name), "{what}: {place} has no {name}");
        if let Some(cap) = number(&cap) {
            let found = numbers_of(name, &source);
            assert!(
                cap == 256 && found.is_empty()
                    || found.contains(&cap)
                    || place.contains("ANSWER_BYTES_MAX"),
                "{what}: {cap} is written, {place} says {found:?}"
            );
        }
    }
}

#[test]
fn an_owner_cannot_fill_the_store_with_enrolment_tokens() {
    let lucid =
        Lucid::serve_with(&[("RAIL", "sandbox"), ("LUCID_LIMITS_ENROLMENTS_PER_OWNER", "3")]);
    let (alice, bob) = (lucid.token("alice", "node_operator"), lucid.token("bob", "node_operator"));
    let mint = |token: &str| {
        lucid.call(
            "POST",
            "/api/v1/enrolment-tokens",
            Some(token),
            Some(&json!({ "name": "rack 7" })),
        )
    };
    for _ in 0..3 {
        assert_eq!(mint(&alice).0, 201);
    }
    let (status, answer) = mint(&alice);
    assert_eq!((status, answer["error"]["details"]["limit"].as_u64()), (429, Some(3)), "{answer}");
    assert_eq!(mint(&bob).0, 201, "others have their own");
}
