//! The table of arrows between rooms, held against the sources. `ARCHITECTURE.md` shows the same table.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::Visit;

/// Who may use whom. A room that is not here does not exist.
const ARROWS: &[(&str, &[&str])] = &[
    ("clock", &[]),
    ("api", &[]),
    ("telemetry", &[]),
    ("health", &[]),
    ("logging", &["clock"]),
    ("kubernetes", &["api", "clock"]),
    ("decide", &["api"]),
    ("budget", &["clock", "health", "telemetry"]),
    ("spideriq", &["budget", "clock", "health", "telemetry"]),
    ("leader", &["api", "clock", "kubernetes"]),
    ("poll", &["spideriq", "clock"]),
    ("status", &["api", "decide", "health", "kubernetes"]),
    ("account", &["api", "budget", "kubernetes", "spideriq", "leader", "poll", "clock", "telemetry"]),
    (
        "controller",
        &[
            "api",
            "budget",
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
    ("cli", &["api", "app", "budget", "clock", "controller", "leader", "logging", "spideriq", "telemetry"]),
];

/// Crates that only these rooms may name.
const GUARDED: &[(&str, &[&str])] = &[
    ("reqwest", &["spideriq"]),
    ("kube", &["api", "kubernetes", "leader", "status", "account", "controller", "app"]),
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
    "budget/told.rs",
    "budget/turns.rs",
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

#[test]
fn the_map_shows_the_same_table() {
    let map = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md")).unwrap();
    for (room, _) in ARROWS {
        assert!(map.contains(&format!("`{room}`")), "ARCHITECTURE.md does not name {room}");
    }
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

#[test]
fn only_one_file_writes() {
    for file in files(&source()) {
        let text = fs::read_to_string(&file).unwrap();
        let writes = [".patch_status(", ".patch(", ".replace(", ".replace_status("]
            .iter()
            .any(|call| text.contains(&format!("s{call}")));
        assert!(!writes || shown(&file) == "status/write.rs", "{} writes to the API server", shown(&file));
        let leases = named(&file).words.contains("coordination");
        assert!(!leases || shown(&file) == "leader/lease.rs", "{} names the API of leases", shown(&file));
        let writes = [".create(", ".replace("].iter().any(|call| text.contains(&format!("self.api{call}")));
        assert!(!writes || shown(&file) == "leader/lease.rs", "{} writes to the API server", shown(&file));
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

/// What a file names.
#[derive(Default)]
struct Named {
    rooms: BTreeSet<String>,
    words: BTreeSet<String>,
    asynchronous: bool,
}

impl<'ast> Visit<'ast> for Named {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if let [first, room, ..] = segments.as_slice()
            && first == "crate"
        {
            self.rooms.insert(room.clone());
        }
        self.words.extend(segments);
        syn::visit::visit_path(self, path);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.tree(&item.tree, true, false);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let tests = item.attrs.iter().any(|attribute| attribute.path().is_ident("cfg"));
        if !tests {
            syn::visit::visit_item_mod(self, item);
        }
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        self.asynchronous |= signature.asyncness.is_some();
        syn::visit::visit_signature(self, signature);
    }
}

impl Named {
    fn tree(&mut self, tree: &syn::UseTree, first: bool, in_crate: bool) {
        match tree {
            syn::UseTree::Path(path) => {
                let name = path.ident.to_string();
                if in_crate {
                    self.rooms.insert(name.clone());
                }
                let root = first && name == "crate";
                self.words.insert(name);
                self.tree(&path.tree, false, root);
            }
            syn::UseTree::Name(name) => self.leaf(name.ident.to_string(), in_crate),
            syn::UseTree::Rename(rename) => self.leaf(rename.ident.to_string(), in_crate),
            syn::UseTree::Group(group) => {
                group.items.iter().for_each(|item| self.tree(item, first, in_crate));
            }
            syn::UseTree::Glob(_) => {}
        }
    }

    fn leaf(&mut self, name: String, in_crate: bool) {
        if in_crate {
            self.rooms.insert(name.clone());
        }
        self.words.insert(name);
    }
}

fn named(file: &Path) -> Named {
    let syntax = syn::parse_file(&fs::read_to_string(file).unwrap()).unwrap();
    let mut named = Named::default();
    named.visit_file(&syntax);
    named
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
