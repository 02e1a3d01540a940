//! What is generated is checked in, and fails here when it drifts. `make generate` writes it.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::path::Path;
use std::{env, fs};

use spideriq_operator::api;

/// Compares a file with what it should hold, or writes it where `GENERATE` is set.
fn check(path: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if env::var_os("GENERATE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, expected).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "{} is out of date; run `make generate` and commit the result",
        path.display()
    );
}

#[test]
fn the_crds_are_what_the_types_say() {
    for crd in api::crds().unwrap() {
        let yaml = api::to_yaml(&crd).unwrap();
        let name = format!("{}.yaml", crd.metadata.name.unwrap());
        check(&format!("crds/{name}"), &yaml);
        check(&format!("charts/spideriq-operator/files/crds/{name}"), &yaml);
    }
}
