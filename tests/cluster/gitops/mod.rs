//! What the real engines of GitOps make of our objects: `make gitops` builds them, and runs these.

mod argo;
mod flux;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use emulator::journal::Event;
use serde_json::Value;

use super::support::{World, condition};

/// Jobs whose page has `fails` in it fail, those with `long` never end, and all others are completed after some seconds.
const RULES: &str = "jobs: [{match: {contains: fails}, queued: 1, processing: 3, end: failed}, {match: {contains: long}, queued: 1, end: processing}, {queued: 1, processing: 8}]";

/// A program beside the control plane, with a log of its own; it ends with its test.
struct Engine {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Engine {
    fn start(name: &'static str, command: &Command, folder: &Path) -> Self {
        let log = folder.join(format!("{name}.log"));
        let file = File::create(&log).unwrap();
        // It ends with this process, however that ends.
        let mut guarded = Command::new(std::env::var_os("TESTBED_PROGRAM").unwrap());
        guarded
            .args(["guard", &std::process::id().to_string(), "--"])
            .arg(command.get_program())
            .args(command.get_args())
            .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .current_dir(folder);
        let child = guarded.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file).spawn();
        Self { name, child: child.unwrap(), log }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            let lines: Vec<&str> = log.lines().rev().take(30).collect();
            let lines = lines.into_iter().rev().collect::<Vec<_>>().join("\n");
            eprintln!("--- the last words of {}:\n{lines}", self.name);
        }
    }
}

/// A folder that goes with its test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs a program to its end.
fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Installs CRDs and waits until they are served.
async fn install(world: &World, files: &[PathBuf]) {
    for file in files {
        world.bed.kubectl(&["apply", "--server-side", "--filename", file.to_str().unwrap()]).unwrap();
        let get = ["get", "--filename", file.to_str().unwrap(), "--output=json"];
        let served = |world: &World| {
            let crd: Value = serde_json::from_str(&world.bed.kubectl(&get).unwrap()).unwrap();
            condition(&crd, "Established").0 == "True"
        };
        world.until_true("a CRD is served", served).await;
    }
}

/// A ScrapeJob as it stands in Git, for a page of this name.
fn manifest(world: &World, name: &str, page: &str, more: &str) -> String {
    format!(
        "apiVersion: spideriq.ai/v1alpha1\nkind: ScrapeJob\nmetadata: {{name: {name}, namespace: {}}}\nspec:\n  type: spiderSite\n  payload: {{url: \"https://{page}.example\"}}\n{more}",
        world.namespace
    )
}

/// How often a page was submitted.
fn submits(world: &World, page: &str) -> usize {
    let url = format!("https://{page}.example");
    let of_page = |event: &Event| {
        matches!(event, Event::Request(request) if request.route == "submit"
            && request.payload.as_ref().is_some_and(|payload| payload["url"] == *url))
    };
    world.service.journal(0).entries.iter().filter(|entry| of_page(&entry.event)).count()
}

/// Waits until something holds for an object of another group, and returns it.
async fn until_other(
    world: &World,
    (kind, name): (&str, &str),
    what: &str,
    holds: impl Fn(&Value) -> bool,
) -> Value {
    let seen = std::cell::RefCell::new(Value::Null);
    let look = |world: &World| {
        let text = world.kubectl(&["get", kind, name, "--output=json", "--ignore-not-found"]).unwrap();
        let object: Value = serde_json::from_str(&text).unwrap_or_default();
        let held = holds(&object);
        *seen.borrow_mut() = object;
        held
    };
    world.until_true(&format!("{name}: {what}"), look).await;
    seen.into_inner()
}
