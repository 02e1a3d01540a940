//! One of several operators.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use super::support::World;

/// One of several operators, with a log of its own. It ends with this.
pub struct Replica {
    process: Child,
    log: PathBuf,
}

impl Replica {
    pub fn start(world: &World, name: &str) -> Self {
        let log = world.log.with_extension(name);
        Self { process: world.replica(&log), log }
    }

    pub fn logged(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends a signal, by its name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.process.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Ends it as a crash would.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Waits until a line of the log holds this.
    pub async fn until(&self, world: &World, words: &str) {
        world.until_true(words, |_| self.logged().contains(words)).await;
    }

    /// Waits until it has ended by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        for _ in 0..600 {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("it never ended: {}", self.logged());
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            let log = self.logged();
            let from = log.lines().count().saturating_sub(30);
            let last: Vec<&str> = log.lines().skip(from).collect();
            eprintln!("--- the last words of {}:\n{}", self.log.display(), last.join("\n"));
        }
        let _ = fs::remove_file(&self.log);
    }
}
