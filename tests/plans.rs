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

/// Every message has one form: whole sentences of at most 25 words, that a reader understands at once.
#[test]
fn every_message_is_made_of_short_whole_sentences() {
    let mut faults = Vec::new();
    for file in situations() {
        let situation: Situation = serde_saphyr::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        let planned = plan(&situation.job, &situation.facts);
        let Some(then) = planned.then else { continue };
        let notes = then.events.iter().filter_map(|event| event.split_once(": ")).map(|(_, note)| note);
        for message in then.message.as_deref().into_iter().chain(notes) {
            // A status that is as it was is in the words of the file.
            let recorded = situation.job.status.as_ref().and_then(|status| status.message.as_deref());
            if let Some(fault) = odd(message).filter(|_| recorded != Some(message)) {
                faults.push(format!("{}: {fault}: {message}", file.file_stem().unwrap().display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// What is wrong with the form of a message.
fn odd(message: &str) -> Option<String> {
    let begins = message.chars().next().is_some_and(char::is_uppercase) || message.starts_with("spec.");
    if !begins || !message.ends_with('.') {
        return Some("it is no sentence".to_owned());
    }
    if message.contains("; ") {
        return Some("two sentences are joined".to_owned());
    }
    let sentences = message.split(". ");
    let long = sentences.into_iter().find(|sentence| sentence.split(' ').count() > 25)?;
    Some(format!("{} words", long.split(' ').count()))
}

#[test]
fn the_form_of_a_message_is_judged() {
    assert_eq!(odd("The job completed. Set spec.runID to run it again."), None);
    for bad in ["the job completed.", "The job completed", "The job failed; try again.", &"Word ".repeat(30)]
    {
        assert!(odd(bad.trim()).is_some(), "{bad}");
    }
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
