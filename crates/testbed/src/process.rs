//! Child processes that cannot outlive their parent.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};

/// The hidden subcommand under which this program starts another one that dies with it.
pub(crate) const GUARD: &str = "guard";

/// Becomes the given command, after asking the kernel to kill it when the parent dies. Returns only on failure.
///
/// The kernel's promise is bound to the parent's thread that started this, so the testbed starts everything from
/// its main thread.
pub fn guard(parent: u32, command: &[OsString]) -> anyhow::Error {
    let Some((program, arguments)) = command.split_first() else { return anyhow::anyhow!("nothing to run") };
    if let Err(error) = die_with(parent) {
        return error;
    }
    let error = Command::new(program).args(arguments).exec();
    anyhow::Error::new(error).context(format!("cannot start {}", program.display()))
}

/// Has the kernel kill this process, and whatever it becomes, when its parent dies.
///
/// # Errors
/// If that cannot be asked, or the parent is gone already.
pub(crate) fn die_with(parent: u32) -> anyhow::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))
        .context("cannot tie the life of a process to its parent's")?;
    // The parent may have died before the kernel was asked.
    anyhow::ensure!(std::os::unix::process::parent_id() == parent, "the parent is gone");
    Ok(())
}

/// One running program of the control plane.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
}

impl Running {
    /// Starts a program, tied to this process, with its words in a file.
    pub(crate) fn start(program: &Path, arguments: &[String], log: &Path) -> anyhow::Result<Self> {
        let log = File::options().create(true).append(true).open(log)?;
        let this = std::env::current_exe().context("cannot find this program")?;
        let child = Command::new(this)
            .arg(GUARD)
            .arg(std::process::id().to_string())
            .arg("--")
            .arg(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self { child })
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Asks it to end, and makes it end after a while.
    pub(crate) fn stop(&mut self, within: Duration) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid
            && self.is_running()
        {
            let asked = kill_process(pid, Signal::TERM);
            let tries = if asked.is_ok() { within.as_millis() / 20 } else { 0 };
            for _ in 0..tries {
                if !self.is_running() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        self.kill();
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        // It may have ended by itself, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}
