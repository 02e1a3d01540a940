//! What comments, tests and pages point to: rules by their letter, sections of the service's contract, and what proves a promise.

use std::fs;
use std::path::Path;

use super::markdown::ROOT;

/// One target in `docs/service.md`.
#[derive(Debug)]
pub(crate) enum Pointer {
    /// A section by its number.
    Section(String),
    /// A route of section 2.1 by its name.
    Route(String),
    /// A row of the table of section 9.
    Row(String),
}

/// Every source and page, by its path below the root, but this test's own.
pub(crate) fn sources() -> Vec<(String, String)> {
    let mut files = Vec::new();
    for folder in ["src", "crates", "tests", "benches", "docs"] {
        collect(&Path::new(ROOT).join(folder), &mut files);
    }
    files.retain(|(path, _)| !path.starts_with("tests/docs"));
    files
}

fn collect(folder: &Path, files: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|end| end == "rs" || end == "md") {
            let name = path.strip_prefix(ROOT).unwrap().to_string_lossy().into_owned();
            // Some files of the tests hold odd bytes on purpose.
            files.push((name, String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned()));
        }
    }
}

/// The rules that a text names: a letter of R, S and L with a number.
pub(crate) fn rules(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !(c.is_alphanumeric() || c == '_'));
    let is_rule = |word: &&str| {
        let number = word.strip_prefix(['R', 'S', 'L']);
        number.is_some_and(|number| (1..=2).contains(&number.len()) && number.parse::<u8>().is_ok())
    };
    words.filter(is_rule).map(str::to_owned).collect()
}

/// The sections of the contract that a text names.
pub(crate) fn sections(text: &str) -> Vec<Pointer> {
    let mut found = Vec::new();
    for part in text.split("ontract section").skip(1) {
        let end = part.find([')', ';', ':', '\n']).unwrap_or(part.len());
        let mut before = "";
        for word in part[..end].split([' ', ',']).filter(|word| !word.is_empty()) {
            let word = word.trim_end_matches('.');
            let number = word.chars().all(|c| c.is_ascii_digit() || c == '.');
            if number && !word.is_empty() {
                let word = word.to_owned();
                found.push(if before == "row" { Pointer::Row(word) } else { Pointer::Section(word) });
            } else if word.strip_prefix('J').is_some_and(|rest| rest.parse::<u8>().is_ok()) {
                found.push(Pointer::Route(word.to_owned()));
            }
            before = word;
        }
    }
    found
}

/// What the last column of a page's tables names: files of `tests` and modules of `src`.
pub(crate) fn proofs(page: &str) -> Vec<&str> {
    let rows = page.lines().filter(|line| line.starts_with("| "));
    let cells = rows.filter_map(|row| row.trim_end_matches([' ', '|']).rsplit(" | ").next());
    let spans = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    spans.filter(|name| name.strip_suffix(".rs").is_some() || name.contains("::")).collect()
}

pub(crate) fn is_there(proof: &str) -> bool {
    let at = |path: String| Path::new(ROOT).join(path).is_file();
    if proof.contains("::") {
        let module = proof.replace("::", "/");
        at(format!("src/{module}.rs")) || at(format!("src/{module}/mod.rs"))
    } else {
        at(format!("tests/{proof}"))
    }
}
