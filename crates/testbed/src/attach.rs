//! A control plane as a test uses it: the shared one that the runner was started in, or one of its own.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, bail};

use crate::{Entry, Options, Part, control_plane, read_audit};

/// The variable that names the folder of the control plane that a command runs in.
pub(crate) const FOLDER: &str = "TESTBED_FOLDER";
/// The variable that names the testbed's own program.
pub(crate) const PROGRAM: &str = "TESTBED_PROGRAM";

/// A running control plane, seen through its folder.
#[derive(Clone, Debug)]
pub struct Testbed {
    folder: PathBuf,
}

impl Testbed {
    /// The control plane that this process was started in.
    ///
    /// # Errors
    /// If there is none: a test that needs one fails, it is not skipped.
    pub fn attach() -> anyhow::Result<Self> {
        let folder = env::var_os(FOLDER).context(
            "this needs a control plane; run `make test`, or start the command with `testbed run -- …`",
        )?;
        Ok(Self { folder: folder.into() })
    }

    pub(crate) fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The admin's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// A program of the control plane, by its name.
    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join("bin").join(name)
    }

    /// Runs kubectl as the admin and returns what it printed.
    ///
    /// # Errors
    /// With kubectl's own words.
    pub fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        self.run("kubectl", arguments, "")
    }

    /// Runs a program of the control plane as the admin, with this standard input.
    ///
    /// # Errors
    /// With its own words.
    pub fn run(&self, program: &str, arguments: &[&str], input: &str) -> anyhow::Result<String> {
        let mut child = Command::new(self.program(program))
            .args(arguments)
            .env("KUBECONFIG", self.kubeconfig())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes())?;
        }
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("{program} {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// A kubeconfig for a `ServiceAccount`, with a token asked from the API server.
    ///
    /// # Errors
    /// If the API server gives none.
    pub fn kubeconfig_of(&self, namespace: &str, service_account: &str) -> anyhow::Result<PathBuf> {
        let token = self.kubectl(&[
            "create",
            "token",
            service_account,
            "--namespace",
            namespace,
            "--duration",
            "8h",
        ])?;
        let server =
            self.kubectl(&["config", "view", "--output", "jsonpath={.clusters[0].cluster.server}"])?;
        let path = self.folder.join(format!("kubeconfig-{namespace}-{service_account}"));
        fs::write(&path, control_plane::kubeconfig(&server, &self.folder, token.trim())?)?;
        Ok(path)
    }

    /// The requests since an offset of the audit log, and the offset to go on from.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn audit(&self, from: u64) -> anyhow::Result<(Vec<Entry>, u64)> {
        read_audit(&self.folder.join("audit.log"), from)
    }

    /// What both kstatus libraries make of the objects in this JSON: name, the original's word, the fork's.
    ///
    /// # Errors
    /// If the program is not built or refuses the input.
    pub fn kstatus(&self, objects: &str) -> anyhow::Result<Vec<(String, String, String)>> {
        let printed = self.run("kstatus", &[], objects)?;
        let row = |line: &str| {
            let mut words = line.split('\t').map(str::to_owned);
            Some((words.next()?, words.next()?, words.next()?))
        };
        printed
            .lines()
            .map(|line| row(line).with_context(|| format!("odd line of kstatus: {line}")))
            .collect()
    }
}

/// A control plane of a test's own, that it may stop and break. It ends with this, and with the process.
#[derive(Debug)]
pub struct Own {
    testbed: Testbed,
    server: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Own {
    /// Starts one.
    ///
    /// # Errors
    /// If the testbed's program is not known, or the control plane cannot be started.
    pub fn start(options: Options) -> anyhow::Result<Self> {
        let program = env::var_os(PROGRAM).context("this starts a control plane of its own; run `make test`, or start the command with `testbed run -- …`")?;
        let mut command = Command::new(program);
        command.arg("serve").stdin(Stdio::piped()).stdout(Stdio::piped());
        if options.controller_manager {
            command.arg("--controller-manager");
        }
        let mut server = command.spawn().context("cannot start the testbed")?;
        let commands = server.stdin.take();
        let mut answers = BufReader::new(server.stdout.take().context("the testbed has no output")?);
        let mut folder = String::new();
        answers.read_line(&mut folder)?;
        if folder.trim().is_empty() {
            bail!("the control plane did not start; the testbed's own words are above");
        }
        Ok(Self { testbed: Testbed::at(Path::new(folder.trim()).to_owned()), server, commands, answers })
    }

    /// Ends a part at once, as a crash would.
    ///
    /// # Errors
    /// If the testbed does not answer.
    pub fn kill(&mut self, part: Part) -> anyhow::Result<()> {
        self.order("kill", part)
    }

    /// Starts a part again, and waits until the API server is ready.
    ///
    /// # Errors
    /// If it does not come back.
    pub fn start_again(&mut self, part: Part) -> anyhow::Result<()> {
        self.order("start", part)
    }

    fn order(&mut self, verb: &str, part: Part) -> anyhow::Result<()> {
        let commands = self.commands.as_mut().context("the testbed has no input")?;
        writeln!(commands, "{verb} {part:?}")?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        if answer.trim() == "done" { Ok(()) } else { bail!("{verb} {part:?}: {}", answer.trim()) }
    }
}

impl Deref for Own {
    type Target = Testbed;

    fn deref(&self) -> &Testbed {
        &self.testbed
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // The end of its input is what tells the testbed to end.
        drop(self.commands.take());
        let _ = self.server.wait();
    }
}
