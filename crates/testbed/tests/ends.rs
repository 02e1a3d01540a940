//! What a control plane leaves behind: nothing, however its parent ends.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A testbed that ends with its test, however that ends.
struct Bed(Child);

impl Drop for Bed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A testbed around a command that would run for minutes, and the folder of its control plane.
fn begin() -> (Bed, PathBuf) {
    let mut testbed = Command::new(env!("CARGO_BIN_EXE_testbed"))
        // A command that runs until it is ended, and can be found by the folder in its arguments.
        .args(["run", "--", "sh", "-c", "echo $KUBECONFIG; exec tail -f $KUBECONFIG >/dev/null"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(testbed.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let folder = Path::new(line.trim()).parent().unwrap().to_owned();
    assert!(folder.to_string_lossy().contains("spideriq-testbed-"), "{}", folder.display());
    (Bed(testbed), folder)
}

/// The processes whose command line names something in this folder.
fn of(folder: &Path) -> Vec<String> {
    let folder = folder.to_string_lossy().into_owned();
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let line = fs::read(entry.ok()?.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        line.contains(&folder).then_some(line)
    });
    processes.collect()
}

/// The three that belong to a control plane: etcd, kube-apiserver and the command, which takes a moment to become itself.
fn until_all(folder: &Path) {
    for _ in 0..300 {
        if of(folder).len() >= 3 {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("not all of them run: {:#?}", of(folder));
}

fn until_none(folder: &Path) {
    for _ in 0..300 {
        if of(folder).is_empty() {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("still running: {:#?}", of(folder));
}

#[test]
fn nothing_outlives_its_parent_not_even_after_a_kill() {
    let (mut killed, first) = begin();
    let (mut ended, second) = begin();
    assert_ne!(first, second, "several run side by side");
    until_all(&first);
    until_all(&second);

    killed.0.kill().unwrap();
    killed.0.wait().unwrap();
    until_none(&first);
    assert!(of(&second).len() >= 3, "the other one goes on");

    Command::new("kill").arg(ended.0.id().to_string()).status().unwrap();
    ended.0.wait().unwrap();
    until_none(&second);
    assert!(!second.exists(), "its folder is gone as well");
    let _ = fs::remove_dir_all(first);
}
