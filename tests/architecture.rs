//! The table of arrows between rooms, held against the sources. `ARCHITECTURE.md` shows the same table.
#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "architecture/clients.rs"]
mod clients;
#[path = "architecture/imports.rs"]
mod imports;
#[path = "architecture/named.rs"]
mod named;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use syn::visit::Visit;

use named::named;

/// Who may use whom. A room that is not here does not exist.
const ARROWS: &[(&str, &[&str])] = &[
    ("clock", &[]),
    ("api", &[]),
    ("telemetry", &[]),
    ("health", &[]),
    ("logging", &["clock"]),
    ("kubernetes", &["api", "clock", "telemetry"]),
    ("decide", &["api"]),
    ("budget", &["clock", "health", "telemetry"]),
    ("spideriq", &["budget", "clock", "health", "telemetry"]),
    ("leader", &["api", "clock", "kubernetes"]),
    ("poll", &["spideriq", "clock"]),
    ("status", &["api", "decide", "health", "kubernetes"]),
    ("cache", &["api", "decide", "status"]),
    ("offline", &["api", "cache", "decide", "status"]),
    ("doctor", &["api", "kubernetes", "leader"]),
    ("drain", &["api", "clock", "kubernetes", "leader"]),
    (
        "account",
        &["api", "budget", "decide", "kubernetes", "spideriq", "leader", "poll", "clock", "telemetry"],
    ),
    (
        "controller",
        &[
            "api",
            "budget",
            "cache",
            "decide",
            "health",
            "kubernetes",
            "spideriq",
            "leader",
            "account",
            "poll",
            "status",
            "clock",
            "telemetry",
        ],
    ),
    ("serve", &["health", "telemetry"]),
    (
        "app",
        &[
            "account",
            "api",
            "clock",
            "controller",
            "health",
            "kubernetes",
            "leader",
            "serve",
            "spideriq",
            "telemetry",
        ],
    ),
    (
        "cli",
        &[
            "api",
            "app",
            "budget",
            "clock",
            "controller",
            "doctor",
            "drain",
            "kubernetes",
            "leader",
            "logging",
            "offline",
            "spideriq",
            "telemetry",
        ],
    ),
];

/// Crates that only these rooms may name.
const GUARDED: &[(&str, &[&str])] = &[
    ("reqwest", &["spideriq"]),
    (
        "kube",
        &[
            "api",
            "kubernetes",
            "leader",
            "status",
            "cache",
            "offline",
            "doctor",
            "drain",
            "account",
            "controller",
            "app",
        ],
    ),
];

/// What pure places must not name: a decision that waits, looks at a clock or draws a number cannot be replayed.
const PURE: &[&str] = &[
    "decide",
    "budget/brakes",
    "budget/mod.rs",
    "budget/outage.rs",
    "budget/queue.rs",
    "budget/rates",
    "budget/request.rs",
    "budget/turns",
    "leader/claim.rs",
    "leader/verdict.rs",
    "status/conditions.rs",
    "status/difference.rs",
    "status/flat.rs",
    "status/bounds.rs",
    "status/account.rs",
];
const IMPURE: &[&str] =
    &["tokio", "kube", "reqwest", "HashMap", "HashSet", "fastrand", "SystemTime", "Instant"];

/// Names that say nothing.
const FORBIDDEN: &[&str] = &["utils", "util", "helpers", "common", "manager", "handler", "types", "misc"];
const LONGEST_FILE: usize = 400;
const LONGEST_FOLDER: usize = 9;
const LONGEST_FUNCTION: usize = 60;

#[test]
fn every_arrow_is_in_the_table() {
    let mut faults = Vec::new();
    for file in files(&source()) {
        let room = room_of(&file);
        if room == "lib" || room == "main" {
            continue;
        }
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == room) else {
            faults.push(format!("{room} is not in the table"));
            continue;
        };
        for used in named(&file).rooms {
            if used != room && !allowed.contains(&used.as_str()) {
                faults.push(format!("{}: {room} may not use {used}", shown(&file)));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn the_table_has_no_cycle_and_no_dead_arrow() {
    let mut used: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in files(&source()) {
        used.entry(room_of(&file)).or_default().extend(named(&file).rooms);
    }
    for (at, (room, allowed)) in ARROWS.iter().enumerate() {
        for other in *allowed {
            let place = ARROWS.iter().position(|(name, _)| name == other);
            assert!(place.is_some_and(|place| place < at), "{room} uses {other}, which must stand above it");
            assert!(
                used.get(*room).is_some_and(|used| used.contains(*other)),
                "{room} does not use {other}: drop the arrow"
            );
        }
    }
}

/// Cell by cell: a room, its layer, and what it may use.
#[test]
fn the_map_shows_the_same_table() {
    let map = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md")).unwrap();
    let rows: Vec<Vec<&str>> = map
        .lines()
        .skip_while(|line| !line.starts_with("|--"))
        .skip(1)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let names =
        |cell: &str| -> BTreeSet<String> { cell.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    let mut layers: BTreeMap<&str, usize> = BTreeMap::new();
    for (room, allowed) in ARROWS {
        let layer = allowed.iter().map(|below| layers[below] + 1).max().unwrap_or(0);
        layers.insert(*room, layer);
    }
    let shown: Vec<(usize, BTreeSet<String>, BTreeSet<String>)> =
        rows.iter().map(|row| (row[0].parse().unwrap(), names(row[1]), names(row[3]))).collect();
    let held: Vec<(usize, BTreeSet<String>, BTreeSet<String>)> = ARROWS
        .iter()
        .map(|(room, allowed)| {
            let allowed = allowed.iter().map(|room| (*room).to_owned()).collect();
            (layers[room], BTreeSet::from([(*room).to_owned()]), allowed)
        })
        .collect();
    for row in &held {
        assert!(shown.contains(row), "ARCHITECTURE.md lacks the row {row:?}");
    }
    assert_eq!(shown.len(), held.len(), "ARCHITECTURE.md has rows of rooms that do not exist");
    assert!(shown.is_sorted_by_key(|(layer, ..)| *layer), "the map goes from the lowest layer up");
}

#[test]
fn guarded_crates_are_named_only_where_they_may_be() {
    for file in files(&source()) {
        let (room, names) = (room_of(&file), named(&file).words);
        for (guarded, rooms) in GUARDED {
            let allowed = rooms.contains(&room.as_str());
            assert!(allowed || !names.contains(*guarded), "{}: {room} may not name {guarded}", shown(&file));
        }
    }
}

/// What writes to the API server, by the method and the number of its arguments, and who may call it. A review of rights, or of who asks, is
/// created, too, and nothing is kept of it.
const WRITES: [(&str, usize, &[&str]); 9] = [
    ("patch", 3, &["status/write.rs"]),
    ("patch_metadata", 3, &["drain/objects.rs"]),
    ("patch_status", 3, &["status/write.rs"]),
    ("replace", 3, &["leader/lease.rs"]),
    ("replace_status", 3, &[]),
    ("create", 2, &["leader/lease.rs", "leader/mark.rs", "doctor/rights.rs"]),
    ("delete", 2, &["status/write.rs"]),
    ("delete_collection", 2, &[]),
    ("request", 1, &["status/write.rs"]),
];
/// Names of what writes, and who may name them: the doctor reads a lease.
const WRITERS: [(&str, &[&str]); 2] = [
    ("Recorder", &["controller/write/events.rs", "drain/objects.rs"]),
    ("coordination", &["leader/lease.rs", "doctor/mod.rs"]),
];

#[test]
fn each_kind_of_write_has_one_file() {
    for file in files(&source()) {
        let (named, file) = (named(&file), shown(&file));
        for (method, arguments, allowed) in WRITES {
            let writes = named.calls.contains(&(method.to_owned(), arguments));
            assert!(!writes || allowed.contains(&file.as_str()), "{file} writes: it calls {method}");
        }
        for (name, allowed) in WRITERS {
            assert!(
                !named.words.contains(name) || allowed.contains(&file.as_str()),
                "{file} writes: it names {name}"
            );
        }
    }
}

/// Where one place forgets that a client may have two names, a job is cancelled that another object uses.
#[test]
fn two_clients_are_compared_in_one_place() {
    let knows = ["decide/facts/client.rs"];
    for file in files(&source()).into_iter().filter(|file| !knows.contains(&shown(file).as_str())) {
        let mut compared = clients::Compared::default();
        compared.visit_file(&syn::parse_file(&fs::read_to_string(&file).unwrap()).unwrap());
        let (file, lines) = (shown(&file), compared.lines);
        assert!(lines.is_empty(), "{file} compares names of clients in lines {lines:?}: ask ClientIdentity");
    }
}

#[test]
fn pure_places_are_pure() {
    let pure = |file: &Path| PURE.iter().any(|place| Path::new(&shown(file)).starts_with(place));
    for file in files(&source()).into_iter().filter(|file| pure(file)) {
        let names = named(&file);
        assert!(!names.asynchronous, "{} is async", shown(&file));
        for word in IMPURE {
            assert!(!names.words.contains(*word), "{} names {word}", shown(&file));
        }
    }
}

#[test]
fn files_and_folders_are_small_and_well_named() {
    for file in files(&source()) {
        let text = fs::read_to_string(&file).unwrap();
        let lines = text.lines().take_while(|line| *line != "#[cfg(test)]").count();
        assert!(lines <= LONGEST_FILE, "{} has {lines} lines before its tests", shown(&file));
        assert!(text.starts_with("//!"), "{} does not open with its purpose", shown(&file));
        let stem = file.file_stem().unwrap().to_string_lossy().into_owned();
        assert!(!FORBIDDEN.contains(&stem.as_str()), "{} has a name that says nothing", shown(&file));
        let folder = file.parent().unwrap();
        let entries = fs::read_dir(folder).unwrap().count();
        let most = if folder == source() { ARROWS.len() + 2 } else { LONGEST_FOLDER };
        assert!(entries <= most, "{} has {entries} entries", folder.display());
    }
}

#[test]
fn functions_are_short() {
    let mut long = Vec::new();
    for file in files(&source()) {
        for (name, lines) in named(&file).functions {
            if lines > LONGEST_FUNCTION {
                long.push(format!("{}: {name} has {lines} lines", shown(&file)));
            }
        }
    }
    assert!(long.is_empty(), "{long:#?}");
}

/// A circle has no first file to read, and nothing in it can move alone.
#[test]
fn no_files_import_each_other() {
    let mut told = String::new();
    for root in ["src", "crates/emulator/src", "crates/packaging/src", "crates/testbed/src"] {
        let edges = imports::Imports::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(root)).edges();
        for circle in imports::circles(&edges) {
            writeln!(told, "{root}: {} files import each other:", circle.len()).unwrap();
            for (from, to, names) in circle.iter().flat_map(|from| {
                let inside = edges.get(from).into_iter().flatten();
                inside.filter(|(to, _)| circle.contains(*to)).map(move |(to, names)| (from, to, names))
            }) {
                writeln!(told, "  {from} -> {to}: {names:?}").unwrap();
            }
        }
    }
    assert!(told.is_empty(), "{told}");
}

/// What all stages share imports none of them.
#[test]
fn the_context_names_no_stage() {
    let edges = imports::Imports::read(&source()).edges();
    for (file, uses) in edges.iter().filter(|(file, _)| file.starts_with("controller/context/")) {
        let stages = uses.keys().filter(|used| used.starts_with("controller/"));
        let stages: Vec<&String> = stages.filter(|used| !used.starts_with("controller/context/")).collect();
        assert!(stages.is_empty(), "{file} imports from {stages:?}");
    }
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn shown(file: &Path) -> String {
    file.strip_prefix(source()).unwrap().display().to_string()
}

fn room_of(file: &Path) -> String {
    shown(file).split(['/', '.']).next().unwrap_or_default().to_owned()
}
