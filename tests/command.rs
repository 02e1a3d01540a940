//! The command as people run it: what it prints, and how it fails.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::process::{Command, Output};

use emulator::{Config, DEMO_TOKEN, Emulator, JobSpec};

fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_spideriq-operator"))
        .args(arguments)
        .env_remove("KUBECONFIG")
        .env_remove("SPIDERIQ_TOKEN")
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_shown_in_the_forms_of_the_service() {
    let service = Emulator::start(Config::default()).await.unwrap();
    let spec = JobSpec { state: Some("processing".to_owned()), ..JobSpec::default() };
    let id = service.create_jobs(spec).unwrap().remove(0);
    let url = service.base_url();
    let token = [("SPIDERIQ_TOKEN", DEMO_TOKEN)];
    for (format, words) in [
        ("json", "\"status\":\"processing\""),
        ("yaml", "status: processing"),
        ("md", "**Status**: processing"),
    ] {
        let output = run(&["job", &id, "--format", format, "--endpoint", &url], &token);
        assert!(output.status.success() && said(&output).contains(words), "{format}: {}", said(&output));
    }
    let unknown = run(&["job", "00000000-0000-4000-8000-000000000000", "--endpoint", &url], &token);
    assert!(!unknown.status.success() && said(&unknown).contains("Job not found"), "{}", said(&unknown));
    let odd = run(&["job", "a/b", "--endpoint", &url], &token);
    assert!(!odd.status.success() && said(&odd).contains("job id"), "{}", said(&odd));
    let wrong = run(&["job", &id, "--endpoint", &url], &[("SPIDERIQ_TOKEN", "cli_a:sk_b:secret_canary")]);
    assert!(!wrong.status.success() && !said(&wrong).contains("canary"), "{}", said(&wrong));
    let none = run(&["job", &id, "--endpoint", &url], &[]);
    assert!(!none.status.success() && said(&none).contains("SPIDERIQ_TOKEN"), "{}", said(&none));
}

#[test]
fn what_is_missing_is_one_sentence() {
    for (arguments, words) in [
        (&["run"][..], "set KUBECONFIG"),
        (&["run", "--allowed-endpoint", "http://elsewhere.example"], "use https"),
        (&["run", "--log-format", "xml"], "possible values: text, json"),
    ] {
        let output = run(arguments, &[("HOME", "/nonexistent")]);
        assert!(
            !output.status.success() && said(&output).contains(words),
            "{arguments:?}: {}",
            said(&output)
        );
    }
}

#[test]
fn the_crds_are_printed_ready_to_be_applied() {
    let output = run(&["crds"], &[]);
    assert!(output.status.success());
    assert_eq!(said(&output).matches("kind: CustomResourceDefinition").count(), 2);
}
