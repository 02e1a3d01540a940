//! The node's cluster as its admin sees it.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How often something is looked at that is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What a program prints.
fn said(program: &str, arguments: &[&str], input: &str) -> Result<String, String> {
    assert!(std::env::var_os("TESTBED_NODE").is_some(), "there is no node; `make e2e` starts one");
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout).unwrap());
    }
    Err(format!("{program} {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr)))
}

pub fn kubectl(arguments: &[&str]) -> Result<String, String> {
    said("kubectl", &[&["--request-timeout=20s"], arguments].concat(), "")
}

/// What is answered at a path. The time that `kubectl` may have would become a part of it.
pub fn raw(path: &str) -> Value {
    serde_json::from_str(&said("kubectl", &["get", "--raw", path], "").unwrap()).unwrap()
}

pub fn helm(arguments: &[&str]) -> Result<String, String> {
    said("helm", arguments, "")
}

/// Applies manifests.
pub fn apply(manifests: &str) {
    said("kubectl", &["apply", "--filename", "-"], manifests).unwrap();
}

/// An object, or a list of them.
pub fn get(arguments: &[&str]) -> Value {
    let text = kubectl(&[&["get", "--output=json"], arguments].concat()).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Looks until something is so; says for how long.
pub fn until(what: &str, within: Duration, is_so: impl Fn() -> Result<(), String>) -> Duration {
    let begun = Instant::now();
    loop {
        let Err(why) = is_so() else { return begun.elapsed() };
        assert!(begun.elapsed() < within, "{what} is not so after {within:?}: {why}");
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Prints how long a part took.
pub fn told<T>(part: &str, does: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let result = does();
    println!("{part}: {:.1} s", begun.elapsed().as_secs_f32());
    result
}
