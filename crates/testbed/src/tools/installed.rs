//! Programs of the user's own that will do: a client of the PATH, within one minor version of the one that is pinned.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

/// How often, and how long, a program may think about its version.
const ASK_EVERY: Duration = Duration::from_millis(20);
const TRIES: u32 = 500;

/// How a client is asked for its version.
pub(crate) const KUBECTL: &[&str] = &["version", "--client", "--output=json"];
pub(crate) const HELM: &[&str] = &["version", "--template={{.Version}}"];

/// The first program of this name on the PATH with its version, if that is within one minor version of ours.
pub(crate) fn find(name: &str, question: &[&str], ours: &str) -> Option<(PathBuf, String)> {
    let path = std::env::var_os("PATH")?;
    let program = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())?;
    let version = version(&ask(&program, question)?)?;
    fits(&version, ours).then_some((program, version))
}

/// What a program answers, if it does in time.
fn ask(program: &Path, question: &[&str]) -> Option<String> {
    let mut child = Command::new(program)
        .args(question)
        // What a user has set for kubectl is not asked.
        .env("KUBERC", "off")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    for _ in 0..TRIES {
        if child.try_wait().ok()?.is_some() {
            let output = child.wait_with_output().ok()?;
            return output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned());
        }
        std::thread::sleep(ASK_EVERY);
    }
    // It has no answer, however it ends.
    let _ = child.kill();
    let _ = child.wait();
    None
}

/// The version in an answer: kubectl's is JSON, helm's the bare word.
fn version(answer: &str) -> Option<String> {
    let json: Option<Value> = serde_json::from_str(answer).ok();
    let word = match &json {
        Some(json) => json.pointer("/clientVersion/gitVersion")?.as_str()?,
        None => answer.trim(),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-+".contains(c);
    (word.len() <= 64 && word.chars().all(plain)).then(|| word.to_owned())
}

fn fits(version: &str, ours: &str) -> bool {
    let numbers = |version: &str| {
        let mut parts = version.trim_start_matches('v').split('.');
        Some((parts.next()?.parse::<u32>().ok()?, parts.next()?.parse::<u32>().ok()?))
    };
    match (numbers(version), numbers(ours)) {
        (Some((major, minor)), Some((our_major, our_minor))) => {
            major == our_major && minor.abs_diff(our_minor) <= 1
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{fits, version};

    #[test]
    fn a_client_fits_within_one_minor_version() {
        for good in ["v1.37.2", "v1.36.0", "v1.38.9-gke.1", "1.37.0+k3s1"] {
            assert!(fits(good, "1.37.2"), "{good}");
        }
        for bad in ["v1.35.9", "v1.39.0", "v2.37.2", "v1", "", "v1.x.2", "37", "v1.-37.0"] {
            assert!(!fits(bad, "1.37.2"), "{bad}");
        }
    }

    #[test]
    fn a_version_is_read_from_an_answer_or_not_at_all() {
        let kubectl = r#"{"clientVersion": {"gitVersion": "v1.36.1"}, "kustomizeVersion": "v5.8.1"}"#;
        assert_eq!(version(kubectl).as_deref(), Some("v1.36.1"));
        assert_eq!(version("v4.3.1\n").as_deref(), Some("v4.3.1"));
        for odd in
            ["{}", "{\"clientVersion\": {\"gitVersion\": 7}}", "Client Version: v1.37.2", "v1\u{1b}[31m"]
        {
            assert_eq!(version(odd), None, "{odd}");
        }
    }
}
