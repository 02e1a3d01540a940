//! The docs, without network and cluster: links lead somewhere, commands and files exist, what is said to be printed is,
//! and what comments point to is there. `tests/cluster/docs.rs` runs the commands.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

#[path = "docs/markdown.rs"]
mod markdown;
#[path = "docs/pointers.rs"]
mod pointers;

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use spideriq_operator::api::{Reason, State};

use markdown::{Block, Page, ROOT, commands, pages};

/// Fails with all that was found.
fn none(faults: &[String]) {
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// A path without its `..`, beside a page.
fn beside(page: &str, target: &str) -> String {
    let mut path = PathBuf::from(page);
    path.pop();
    for part in target.split('/') {
        if part == ".." {
            assert!(path.pop(), "{page}: {target}");
        } else {
            path.push(part);
        }
    }
    path.to_string_lossy().into_owned()
}

#[test]
fn every_link_leads_somewhere() {
    let pages = pages();
    let anchors: BTreeMap<&str, BTreeSet<String>> =
        pages.iter().map(|page| (page.path.as_str(), page.anchors())).collect();
    let mut faults = Vec::new();
    for page in &pages {
        for link in page.links() {
            if link.target.starts_with("https://") {
                continue;
            }
            let (file, anchor) = link.target.split_once('#').unwrap_or((&link.target, ""));
            let path = if file.is_empty() { page.path.clone() } else { beside(&page.path, file) };
            let known = anchor.is_empty() || anchors.get(path.as_str()).is_some_and(|a| a.contains(anchor));
            if !Path::new(ROOT).join(&path).is_file() || !known {
                faults.push(format!("{}:{}: {} leads nowhere", page.path, link.line, link.target));
            }
        }
    }
    none(&faults);
}

/// The site has every page of `docs`, and no link of its pages leads out of it.
#[test]
fn the_site_has_every_page_and_what_they_link_to() {
    let pages = pages();
    let summary = pages.iter().find(|page| page.path == "docs/SUMMARY.md").unwrap();
    let listed: BTreeSet<String> =
        summary.links().iter().map(|link| beside(&summary.path, &link.target)).collect();
    let mut faults = Vec::new();
    for page in pages.iter().filter(|page| page.path != summary.path) {
        let shown = listed.contains(&page.path);
        if page.path.starts_with("docs/") && !shown {
            faults.push(format!("docs/SUMMARY.md does not list {}", page.path));
        }
        for link in page.links().iter().filter(|link| shown && !link.target.starts_with("https://")) {
            let file = link.target.split('#').next().unwrap();
            let path = beside(&page.path, file);
            if !file.is_empty() && !listed.contains(&path) && !path.starts_with("docs/pictures/") {
                faults.push(format!("{}:{}: {path} is not on the site", page.path, link.line));
            }
        }
    }
    none(&faults);
}

/// So that `tests/cluster/docs.rs` knows what to do with each block.
#[test]
fn every_block_says_what_it_is() {
    let mut faults = Vec::new();
    for page in pages().iter().filter(|page| page.is_for_users() && !page.path.starts_with("crates/")) {
        for block in page.blocks() {
            let known = match block.language.as_str() {
                "sh" => ["", "norun"].contains(&block.mark.as_str()),
                "yaml" | "text" => ["", "output"].contains(&block.mark.as_str()),
                _ => false,
            };
            if !known {
                let (language, mark) = (&block.language, &block.mark);
                faults.push(format!("{}:{}: what is `{language} {mark}`?", page.path, block.line));
            }
        }
    }
    none(&faults);
}

/// Programs that commands may begin with, and the second words that they may have; none means any.
const PROGRAMS: &[(&str, &[&str])] = &[
    (
        "kubectl",
        &[
            "annotate",
            "exec",
            "apply",
            "create",
            "delete",
            "describe",
            "get",
            "label",
            "patch",
            "wait",
            "--namespace",
        ],
    ),
    ("helm", &["install", "uninstall", "upgrade"]),
    ("make", &[]),
    ("spideriq-operator", &["crds", "drain", "job", "plan", "run"]),
    ("cosign", &["verify"]),
    ("gh", &["attestation"]),
    ("curl", &[]),
    ("cargo", &["build", "run"]),
    ("kind", &["load"]),
    ("target/debug/testbed", &["node", "run"]),
];

#[test]
fn every_command_names_what_there_is() {
    let makefile = fs::read_to_string(Path::new(ROOT).join("Makefile")).unwrap();
    let mut faults = Vec::new();
    for page in pages().iter().filter(|page| page.is_for_users() && !page.path.starts_with("crates/")) {
        for block in page.blocks().iter().filter(|block| block.language == "sh") {
            let mut wrong = |words: &str| faults.push(format!("{}:{}: {words}", page.path, block.line));
            let read = Command::new("bash").args(["-n", "-c", &block.text]).output().unwrap();
            if !read.status.success() {
                wrong(&String::from_utf8_lossy(&read.stderr));
            }
            for command in commands(&block.text) {
                let words: Vec<&str> = command.iter().map(String::as_str).collect();
                // Variables before a program are its environment.
                let at = words.iter().position(|word| !is_variable(word)).unwrap();
                if let Some(fault) = fault_of(&words[at..], &makefile) {
                    wrong(&format!("{fault}: {}", words.join(" ")));
                }
            }
        }
    }
    none(&faults);
}

fn is_variable(word: &str) -> bool {
    let name = word.split('=').next().unwrap();
    name.len() < word.len() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_')
}

/// What is wrong with a command.
fn fault_of(words: &[&str], makefile: &str) -> Option<String> {
    let program = words[0];
    let Some((_, verbs)) = PROGRAMS.iter().find(|(name, _)| *name == program) else {
        return Some(format!("{program} is not in PROGRAMS"));
    };
    let second = words.get(1).copied().unwrap_or_default();
    if !verbs.is_empty() && !verbs.contains(&second) {
        return Some(format!("{program} has no {second}"));
    }
    if program == "make" && !makefile.contains(&format!("\n{second}:")) {
        return Some(format!("the Makefile has no {second}"));
    }
    let ours = match (program, words.iter().position(|word| *word == "--")) {
        ("spideriq-operator", _) => Some(&words[1..]),
        ("cargo", Some(at)) if words.contains(&"spideriq-operator") => Some(&words[at + 1..]),
        _ => None,
    };
    if let Some(fault) = ours.and_then(fault_of_ours) {
        return Some(fault);
    }
    let files = words
        .iter()
        .filter(|word| ["examples/", "charts/", "crds/"].iter().any(|folder| word.starts_with(folder)));
    let missing = files.filter(|file| !Path::new(ROOT).join(file).exists()).copied();
    missing.map(|file| format!("there is no {file}")).next()
}

/// What is wrong with a command of our own: each of its options is in its help.
fn fault_of_ours(words: &[&str]) -> Option<String> {
    let help = run_ours(&[words[0], "--help"]);
    let options = words.iter().filter(|word| word.starts_with('-') && word.len() > 1);
    let unknown = |option: &str| {
        let name = option.split('=').next().unwrap();
        !help.split(|c: char| c.is_whitespace() || ",[=".contains(c)).any(|word| word == name)
    };
    options.copied().find(|option| unknown(option)).map(|option| format!("{} has no {option}", words[0]))
}

/// What our own program prints, run from the root.
fn run_ours(words: &[&str]) -> String {
    let program = env!("CARGO_BIN_EXE_spideriq-operator");
    let output =
        Command::new(program).args(words).current_dir(ROOT).env_remove("KUBECONFIG").output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What `plan` is said to answer it answers; `make generate` writes it.
#[test]
fn what_plan_answers_is_what_the_page_shows() {
    let mut shown = 0;
    for page in pages() {
        let blocks = page.blocks();
        let pairs = blocks.iter().zip(blocks.iter().skip(1));
        for (asked, answer) in pairs.filter(|(asked, answer)| is_plan(asked) && answer.mark == "output") {
            let command = &commands(&asked.text)[0];
            let words: Vec<&str> = command.iter().skip(1).map(String::as_str).collect();
            let said = run_ours(&words);
            let file = Path::new(ROOT).join(&page.path);
            if env::var_os("GENERATE").is_some() && said != answer.text {
                let text = fs::read_to_string(&file).unwrap();
                let before = format!("{}```\n\n```yaml output\n{}```", asked.text, answer.text);
                assert_eq!(text.matches(&before).count(), 1, "{}:{}", page.path, answer.line);
                let after = format!("{}```\n\n```yaml output\n{said}```", asked.text);
                // In one step, because other tests read it meanwhile.
                let new = file.with_extension("new");
                fs::write(&new, text.replace(&before, &after)).unwrap();
                fs::rename(new, &file).unwrap();
            } else {
                assert!(
                    said == answer.text,
                    "{}:{} is out of date; run `make generate`",
                    page.path,
                    answer.line
                );
            }
            shown += 1;
        }
    }
    assert!(shown > 1, "the page of plan shows what it answers");
}

fn is_plan(block: &Block) -> bool {
    block.language == "sh" && block.text.starts_with("spideriq-operator plan ")
}

/// The longest sentence of a page for users, in words.
const LONGEST_SENTENCE: usize = 25;
/// Pages that look back, or that are tables of what the code holds.
const LONG_WINDED: [&str; 4] =
    ["docs/benchmarks.md", "ARCHITECTURE.md", "SECURITY.md", "crates/emulator/README.md"];

#[test]
fn sentences_are_short() {
    let mut faults = Vec::new();
    for page in pages().iter().filter(|page| page.is_for_users()) {
        if LONG_WINDED.contains(&page.path.as_str()) {
            continue;
        }
        for (line, text) in page.prose() {
            for sentence in sentences(text) {
                let words = sentence.split_whitespace().filter(|word| word.contains(char::is_alphanumeric));
                let count = words.count();
                if count > LONGEST_SENTENCE {
                    faults.push(format!("{}:{line}: {count} words: {}", page.path, sentence.trim()));
                }
            }
        }
    }
    none(&faults);
}

/// The sentences of a line; what stands between backquotes, or behind a link, is one word.
fn sentences(line: &str) -> Vec<String> {
    let mut plain = String::new();
    for (at, part) in line.split('`').enumerate() {
        plain.push_str(if at % 2 == 1 { "code" } else { part });
    }
    let mut said = String::new();
    for (at, part) in plain.split("](").enumerate() {
        let rest = if at == 0 { part } else { part.split_once(')').map_or("", |(_, rest)| rest) };
        said.push_str(rest);
    }
    let ends = ['.', '?', '!', ':', ';', '|'];
    let mut sentences = vec![String::new()];
    let mut before = ' ';
    for c in said.chars() {
        if c == '|' || (c == ' ' && ends.contains(&before)) {
            sentences.push(String::new());
        } else {
            sentences.last_mut().unwrap().push(c);
        }
        before = c;
    }
    sentences
}

/// What stands behind a state, or behind "an event", is a reason that there is.
#[test]
fn reasons_and_values_that_are_named_there_are() {
    let known: Vec<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    let states: Vec<String> = State::ALL.iter().map(|state| format!("{}, ", state.as_str())).collect();
    let leads: Vec<&str> =
        states.iter().map(String::as_str).chain(["n event ", "event (", "Synced False, "]).collect();
    let mut faults = Vec::new();
    let mut named = 0;
    for page in pages().iter().filter(|page| page.is_for_users()) {
        for (line, text) in page.prose() {
            for rest in leads.iter().flat_map(|lead| text.split(lead).skip(1)) {
                let word: String = rest.chars().take_while(char::is_ascii_alphanumeric).collect();
                // Of one word alone nobody knows whether it is meant as a reason.
                let capitals = word.chars().filter(char::is_ascii_uppercase).count();
                let is_state = State::parse(&word).is_some();
                if word.starts_with(|c: char| c.is_ascii_uppercase()) && capitals > 1 && !is_state {
                    named += 1;
                    if !known.contains(&word.as_str()) {
                        faults.push(format!("{}:{line}: {word} is no reason", page.path));
                    }
                }
            }
        }
    }
    let values = fs::read_to_string(Path::new(ROOT).join("charts/spideriq-operator/values.yaml")).unwrap();
    let install = fs::read_to_string(Path::new(ROOT).join("docs/install.md")).unwrap();
    let table = install.lines().skip_while(|line| !line.starts_with("| Value |"));
    let rows: Vec<&str> = table.skip(2).take_while(|line| line.starts_with('|')).collect();
    assert!(rows.len() > 4, "{rows:?}");
    for row in rows {
        for value in row.split('|').nth(1).unwrap().split(',').map(|value| value.trim().trim_matches('`')) {
            let there = value.split('.').all(|key| values.contains(&format!("{key}:")));
            if !there {
                faults.push(format!("docs/install.md: the chart has no {value}"));
            }
        }
    }
    assert!(named > 30, "{named} reasons are named");
    none(&faults);
}

/// What a comment names by a letter or a section is in `docs`.
#[test]
fn what_comments_point_to_is_there() {
    let page = |path: &str| -> Page { pages().into_iter().find(|page| page.path == path).unwrap() };
    let (rules, service) = (page("docs/rules.md"), page("docs/service.md"));
    let sections: BTreeSet<String> = service
        .prose()
        .iter()
        .filter_map(|(_, line)| line.strip_prefix("##")?.trim_start_matches('#').trim().split(' ').next())
        .map(|number| number.trim_end_matches('.').to_owned())
        .collect();
    let mut faults = Vec::new();
    let (mut named, mut pointed) = (0, 0);
    for (file, text) in pointers::sources() {
        for rule in pointers::rules(&text) {
            named += 1;
            if !rules.text.contains(&format!("\n| {rule} | ")) {
                faults.push(format!("{file}: docs/rules.md has no {rule}"));
            }
        }
        for pointer in pointers::sections(&text) {
            pointed += 1;
            let row = |row: &String| service.text.contains(&format!("\n| {row} | "));
            let there = match &pointer {
                pointers::Pointer::Section(number) => sections.contains(number),
                pointers::Pointer::Route(name) | pointers::Pointer::Row(name) => row(name),
            };
            if !there {
                faults.push(format!("{file}: docs/service.md has no {pointer:?}"));
            }
        }
    }
    assert!(named > 40 && pointed > 40, "{named} rules and {pointed} sections are named");
    none(&faults);
}

/// What proves a promise of `SECURITY.md` is there.
#[test]
fn what_shows_a_promise_is_there() {
    let pages = pages();
    let page = pages.iter().find(|page| page.path == "SECURITY.md").unwrap();
    let proofs = pointers::proofs(&page.text);
    assert!(proofs.len() > 40, "{} are named", proofs.len());
    let missing = proofs.into_iter().filter(|proof| !pointers::is_there(proof));
    none(&missing.map(|proof| format!("SECURITY.md: there is no {proof}")).collect::<Vec<_>>());
}
