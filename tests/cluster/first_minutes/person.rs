//! Somebody with a cluster who starts the demo, and what can be seen of it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use testbed::{Entry, Options, Own, Testbed};

use super::{MARK, ROOT};

/// A control plane, and a folder with a kubeconfig and a place for temporary files.
pub struct Person {
    pub bed: Own,
    pub folder: PathBuf,
    pub kubeconfig: String,
    pub path: String,
    pub script: PathBuf,
}

/// How a demo ended, and what it said.
pub struct Ended {
    pub code: Option<i32>,
    pub said: String,
}

impl Person {
    pub fn new(name: &str, controller_manager: bool) -> Self {
        let bed = Own::start(Options { controller_manager }).unwrap();
        let folder = std::env::temp_dir().join(format!("first-minutes-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("tmp")).unwrap();
        let kubeconfig = bed.kubeconfig().to_string_lossy().into_owned();
        let path = format!(
            "{}:{}",
            bed.program("kubectl").parent().unwrap().display(),
            std::env::var("PATH").unwrap()
        );
        Self { bed, folder, kubeconfig, path, script: Path::new(ROOT).join("tests/demo.sh") }
    }

    pub fn start(&self, variables: &[(&str, &str)]) -> Child {
        let said = File::create(self.folder.join("said")).unwrap();
        let built = Path::new(env!("CARGO_BIN_EXE_spideriq-operator")).ancestors().nth(2).unwrap();
        Command::new(program("bash"))
            .arg(&self.script)
            .arg("current")
            .env("CARGO_TARGET_DIR", built)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("PATH", &self.path)
            .env("TMPDIR", self.folder.join("tmp"))
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(said.try_clone().unwrap())
            .stderr(said)
            .spawn()
            .unwrap()
    }

    pub fn said(&self) -> String {
        fs::read_to_string(self.folder.join("said")).unwrap()
    }

    pub fn ended(&self, mut demo: Child) -> Ended {
        let code = demo.wait().unwrap().code();
        Ended { code, said: self.said() }
    }

    pub fn run(&self, variables: &[(&str, &str)]) -> Ended {
        self.ended(self.start(variables))
    }

    /// Starts a demo and waits until it has said this.
    pub fn until_said(&self, words: &str) -> Child {
        let mut demo = self.start(&[("YES", "1")]);
        for _ in 0..1500 {
            if self.said().contains(words) {
                return demo;
            }
            assert!(demo.try_wait().unwrap().is_none(), "it ended: {}", self.said());
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("it never said {words}: {}", self.said());
    }

    /// What carries the mark of a run, of the kinds that a run makes and that outlive its namespace.
    pub fn marked(&self) -> String {
        let selector = format!("app.kubernetes.io/name=spideriq-operator,{MARK}");
        self.bed.kubectl(&["get", "namespaces,crds", "--selector", &selector, "--output", "name"]).unwrap()
    }

    /// Nothing of a run is left: no object, no process, no file.
    pub fn nothing_is_left(&self, said: &str) {
        assert_eq!(self.marked(), "", "{said}");
        let roles = "clusterroles,clusterrolebindings,namespaces,crds,leases";
        let objects = self.bed.kubectl(&["get", roles, "--all-namespaces", "--output", "name"]).unwrap();
        assert!(!objects.contains("spideriq"), "{objects}\n{said}");
        let files: Vec<_> = fs::read_dir(self.folder.join("tmp")).unwrap().collect();
        assert!(files.is_empty(), "{files:?}\n{said}");
        assert_eq!(processes(&self.folder), Vec::<String>::new());
    }

    pub fn apply(&self, manifest: &str) {
        self.bed.run("kubectl", &["apply", "--filename", "-"], manifest).unwrap();
    }

    pub fn install_crds(&self) {
        self.bed.kubectl(&["apply", "--server-side", "--filename", &format!("{ROOT}/crds")]).unwrap();
        self.bed.kubectl(&["wait", crate::support::ESTABLISHED, "--timeout=60s", "crd", "--all"]).unwrap();
    }

    /// The objects of others once nothing changes any more, with their versions.
    pub fn settled(&self) -> BTreeMap<String, String> {
        let mut before = self.of_others();
        for _ in 0..30 {
            std::thread::sleep(Duration::from_secs(1));
            let now = self.of_others();
            if now == before {
                break;
            }
            before = now;
        }
        before
    }

    pub fn of_others(&self) -> BTreeMap<String, String> {
        let kinds = "namespaces,configmaps,secrets,serviceaccounts,roles,rolebindings,clusterroles,clusterrolebindings,deployments";
        let list = self.bed.kubectl(&["get", kinds, "--all-namespaces", "--output", "json"]).unwrap();
        let list: Value = serde_json::from_str(&list).unwrap();
        let metadata = list["items"].as_array().unwrap().iter().map(|object| &object["metadata"]);
        metadata
            .map(|m| {
                (format!("{}/{}", m["uid"], m["name"]), m["resourceVersion"].as_str().unwrap().to_owned())
            })
            .collect()
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A program of the PATH.
pub fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file()).unwrap()
}

/// The id of the run that said this.
pub fn id_of(said: &str) -> String {
    let from = said.find("spideriq-demo-").unwrap_or_else(|| panic!("no run is named: {said}"));
    said[from..].trim_start_matches("spideriq-demo-").chars().take(8).collect()
}

pub fn run_of(said: &str) -> String {
    format!("spideriq-demo-{}", id_of(said))
}

/// The command lines of the processes that have this folder in their environment.
pub fn processes(folder: &Path) -> Vec<String> {
    let folder = folder.to_string_lossy().into_owned();
    let of = |entry: std::io::Result<fs::DirEntry>| {
        let process = entry.ok()?.path();
        let environment = fs::read(process.join("environ")).ok()?;
        let line = fs::read(process.join("cmdline")).ok()?;
        let found = String::from_utf8_lossy(&environment).contains(&folder);
        found.then(|| String::from_utf8_lossy(&line).replace('\0', " "))
    };
    fs::read_dir("/proc").unwrap().filter_map(of).collect()
}

/// Whether a request asked for a change that is kept: a question about rights is written as a create.
pub fn writes(entry: &Entry) -> bool {
    entry.is_write() && entry.resource != "selfsubjectaccessreviews"
}

pub fn signal(demo: &Child, name: &str) {
    assert!(Command::new("kill").args(["-s", name, &demo.id().to_string()]).status().unwrap().success());
}

/// A kubeconfig of a user without any rights but those of everybody.
pub fn nobody(bed: &Testbed) -> String {
    bed.kubectl(&["create", "serviceaccount", "nobody", "--namespace", "default"]).unwrap();
    bed.kubeconfig_of("default", "nobody").unwrap().to_string_lossy().into_owned()
}
