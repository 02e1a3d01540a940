//! The behaviour of the operator, written down: one file of `tests/plans/` for each situation, with what it does and why.
//! `make generate` writes what is said again; a reader of the difference is the judge.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use serde_json::json;
use spideriq_operator::api::ScrapeJob;
use spideriq_operator::offline::{Facts, plan};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Situation {
    job: ScrapeJob,
    facts: Facts,
    says: serde_json::Value,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans")
}

fn situations() -> Vec<PathBuf> {
    let files = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = files.collect();
    files.sort();
    files
}

#[test]
fn every_situation_is_answered_as_it_is_written_down() {
    let generate = std::env::var_os("GENERATE").is_some();
    let files = situations();
    assert!(files.len() > 200, "{} situations", files.len());
    let mut faults = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        assert!(text.starts_with("# "), "{name} begins with a sentence that says what it shows");
        let situation: Situation =
            serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let planned = plan(&situation.job, &situation.facts);
        if generate {
            let (asked, _) = text.split_once("\nsays:\n").unwrap();
            let said = serde_saphyr::to_string(&planned).unwrap();
            let said: Vec<String> = said.trim_end().lines().map(|line| format!("  {line}")).collect();
            fs::write(&file, format!("{asked}\nsays:\n{}\n", said.join("\n"))).unwrap();
        } else if serde_json::to_value(&planned).unwrap() != situation.says {
            faults.push(format!("{name}: {}", serde_saphyr::to_string(&planned).unwrap()));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_command_says_the_same_of_a_situation_in_two_files() {
    let text = fs::read_to_string(folder().join("delete-running.yaml")).unwrap();
    let mut value: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
    value["account"] = json!({"kind": "ScrapeAccount", "metadata": {"name": "default"}});
    value["odd"] = json!({"metadata": {"name": "odd"}, "spec": {"type": 7, "payload": {}}});
    let dir = std::env::temp_dir().join(format!("spideriq-plan-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let files = ["job", "facts", "odd", "account"].map(|part| {
        let file = dir.join(format!("{part}.yaml"));
        fs::write(&file, serde_saphyr::to_string(&value[part]).unwrap()).unwrap();
        file
    });
    let run = |job: &Path| {
        Command::new(env!("CARGO_BIN_EXE_spideriq-operator"))
            .args(["plan", "--filename", job.to_str().unwrap(), "--facts", files[1].to_str().unwrap()])
            .output()
            .unwrap()
    };
    let said = run(&files[0]);
    let missing = run(Path::new("no-such-file.yaml"));
    let (wrong, odd, other) = (run(&files[1]), run(&files[2]), run(&files[3]));
    fs::remove_dir_all(&dir).unwrap();
    let said: serde_json::Value = serde_saphyr::from_str(&String::from_utf8(said.stdout).unwrap()).unwrap();
    assert_eq!(said, value["says"]);
    let refusals = [
        (missing, "cannot read no-such-file.yaml"),
        (wrong, "is not what is expected"),
        (other, "account.yaml holds the kind \"ScrapeAccount\"; write one ScrapeJob into it"),
        (odd, "odd.yaml is not what is expected: spec.type: invalid type: integer `7`, expected a string"),
    ];
    for (output, words) in refusals {
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && told.contains(words), "{told}");
    }
}
