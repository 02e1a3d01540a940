//! What `make image` made: read from the layer, as whoever is given the image would.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::process::Command;

use auditable_info::audit_info_from_slice;
use flate2::read::GzDecoder;
use packaging::arch::Arch;
use packaging::binary::NAME;
use packaging::root::{BINARY, LICENSES, ROOTS};
use serde_json::Value;

/// The folder that it was put into.
fn folder() -> PathBuf {
    PathBuf::from(env::var_os("IMAGE").expect("IMAGE names the folder; `make image` sets it"))
}

/// The operator's one file there with this end of its name. `make e2e` puts the service's image beside it.
fn made(end: &str) -> Vec<u8> {
    let entries = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let of_it = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with(NAME) && name.ends_with(end)
    };
    let named: Vec<PathBuf> = entries.filter(of_it).collect();
    assert_eq!(named.len(), 1, "{named:?}");
    fs::read(&named[0]).unwrap()
}

fn unpacked(tar: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(tar).entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        files.insert(entry.path().unwrap().to_str().unwrap().to_owned(), bytes);
    }
    files
}

/// The first kind of machine, and what is in the image for it.
fn first() -> (String, BTreeMap<String, Vec<u8>>) {
    let files = unpacked(&made(".oci.tar"));
    let docker: Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
    let mut layer = Vec::new();
    let packed = &files[docker[0]["Layers"][0].as_str().unwrap()];
    GzDecoder::new(packed.as_slice()).read_to_end(&mut layer).unwrap();
    let config: Value = serde_json::from_slice(&files[docker[0]["Config"].as_str().unwrap()]).unwrap();
    (config["architecture"].as_str().unwrap().to_owned(), unpacked(&layer))
}

/// Names and versions of the crates that cargo links for a kind of machine, without the operator's own.
fn linked(arch: &str) -> Vec<(String, String)> {
    let target = arch.parse::<Arch>().unwrap().target();
    let tree = Command::new(env!("CARGO"))
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .args(["tree", "--locked", "--package", NAME, "--edges", "normal,no-proc-macro", "--target", target])
        .args(["--prefix", "none", "--format", "{p}"])
        .output()
        .unwrap();
    let lines = String::from_utf8(tree.stdout).unwrap();
    let crates: BTreeSet<(String, String)> = lines
        .lines()
        .filter_map(|line| {
            let (name, rest) = line.split_once(" v")?;
            Some((name.to_owned(), rest.split(' ').next()?.to_owned()))
        })
        .filter(|(name, _)| name != NAME)
        .collect();
    assert!(crates.len() > 100, "{crates:?}");
    crates.into_iter().collect()
}

fn has(bytes: &[u8], words: &str) -> bool {
    bytes.windows(words.len()).any(|window| window == words.as_bytes())
}

#[test]
#[ignore = "`make image` runs it"]
fn the_image_has_the_licences_of_all_that_is_in_it() {
    let (arch, layer) = first();
    let text = |path: &str| String::from_utf8(layer[&format!("{LICENSES}/{path}")].clone()).unwrap();
    assert_eq!(text("LICENSE"), include_str!("../../../LICENSE"));
    let notices = text("NOTICES.txt");
    for (name, version) in linked(&arch) {
        assert!(notices.contains(&format!("  {name} {version}")), "{name} {version}");
    }
    let readme = text("glibc/README.txt");
    assert!(readme.contains("GNU C Library (") && readme.contains("`make image`"), "{readme}");
    assert!(text("glibc/LGPL-2.1.txt").contains("Version 2.1, February 1999"));
    assert!(text("glibc/NOTICES.txt").contains("Free Software Foundation"));
    assert!(text("rust/COPYRIGHT-library.html").contains("Rust Standard Library"));
    assert!(text("roots-of-trust/CDLA-Permissive-2.0.txt").contains("Community Data License Agreement"));
    assert!(has(&layer[ROOTS], "BEGIN CERTIFICATE"));
}

/// Kinds of program headers.
const LOADED: usize = 1;
const INTERPRETER: usize = 3;

#[test]
#[ignore = "`make image` runs it"]
fn the_binary_is_static_and_names_no_folder_of_the_machine() {
    let binary = &first().1[BINARY];
    // The first 64 bytes of an ELF file of 64 bits, little end first: where its program headers are, and how many.
    let number = |at: usize, size: usize| {
        binary[at..at + size].iter().rev().fold(0_usize, |sum, byte| sum * 256 + usize::from(*byte))
    };
    assert_eq!(&binary[..5], b"\x7fELF\x02");
    let (begin, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    let kinds: BTreeSet<usize> = (0..count).map(|at| number(begin + at * size, 4)).collect();
    assert!(kinds.contains(&LOADED) && !kinds.contains(&INTERPRETER), "{kinds:?}");
    let tree = concat!(env!("CARGO_MANIFEST_DIR"), "/");
    let home = env::home_dir().unwrap();
    for path in [tree.trim_end_matches("crates/packaging/"), home.join(".cargo").to_str().unwrap()] {
        assert!(!has(binary, path), "{path}");
    }
}

#[test]
#[ignore = "`make image` runs it"]
fn the_bill_names_what_is_linked_and_what_with() {
    let (arch, layer) = first();
    let text = String::from_utf8(made(&format!("-linux-{arch}.cdx.json"))).unwrap();
    let bill: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(bill["bomFormat"], "CycloneDX");
    let listed: BTreeSet<(&str, &str)> = bill["components"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["name"].as_str().unwrap(), one["version"].as_str().unwrap()))
        .collect();
    let said = audit_info_from_slice(&layer[BINARY], 8 * 1024 * 1024).unwrap().packages;
    for (name, version) in linked(&arch) {
        assert!(listed.contains(&(name.as_str(), version.as_str())), "{name} {version}");
        // The binary itself says so, too, to whoever asks it.
        assert!(
            said.iter().any(|one| one.name == name && one.version.to_string() == version),
            "{name} {version}"
        );
    }
    let glibc = listed.iter().find(|(name, _)| *name == "glibc").unwrap().1;
    assert!(has(&layer["licenses/glibc/README.txt"], glibc));
    assert!(listed.iter().any(|(name, _)| *name == "webpki-root-certs"));
    let tools = bill["metadata"]["tools"]["components"].as_array().unwrap();
    assert!(tools.iter().any(|tool| tool["name"] == "rustc"));
    assert_eq!(bill["metadata"]["component"]["name"], "spideriq-operator");
    let tree = env!("CARGO_MANIFEST_DIR").trim_end_matches("/crates/packaging");
    assert!(
        !text.contains(&format!("{tree}/")) && !text.contains(&format!("{tree}#")),
        "a folder of the machine is named"
    );
}
