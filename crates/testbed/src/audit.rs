//! The API server's audit log: the judge of who wrote what, and how often.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::Path;

use anyhow::Context;
use serde_json::Value;

/// One request, when it was over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Who asked.
    pub user: String,
    /// get, list, watch, create, update, patch, delete, …
    pub verb: String,
    /// API group; empty for the core.
    pub group: String,
    /// Plural of the kind.
    pub resource: String,
    /// For example status.
    pub subresource: String,
    /// Namespace, if there is one.
    pub namespace: String,
    /// Name, if there is one.
    pub name: String,
    /// HTTP status.
    pub code: u16,
    /// Whether it only asked what would come of it.
    pub dry_run: bool,
}

impl Entry {
    /// Whether it asked for a change, and not only what would come of one.
    pub fn is_write(&self) -> bool {
        !self.dry_run
            && ["create", "update", "patch", "delete", "deletecollection"].contains(&self.verb.as_str())
    }

    fn read(line: &str) -> anyhow::Result<Self> {
        let event: Value = serde_json::from_str(line).context("a line of the audit log is not JSON")?;
        let word = |path: &str| event.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        let code = event.pointer("/responseStatus/code").and_then(Value::as_u64);
        Ok(Self {
            user: word("/user/username"),
            verb: word("/verb"),
            group: word("/objectRef/apiGroup"),
            resource: word("/objectRef/resource"),
            subresource: word("/objectRef/subresource"),
            namespace: word("/objectRef/namespace"),
            name: word("/objectRef/name"),
            code: code.and_then(|code| u16::try_from(code).ok()).unwrap_or(0),
            dry_run: word("/requestURI").contains("dryRun="),
        })
    }
}

/// The requests that were over since this offset in bytes, and the offset to go on from.
///
/// # Errors
/// If the log cannot be read.
pub fn read(log: &Path, from: u64) -> anyhow::Result<(Vec<Entry>, u64)> {
    let mut file = File::open(log).with_context(|| format!("cannot open {}", log.display()))?;
    file.seek(SeekFrom::Start(from))?;
    let mut reader = BufReader::new(file);
    let (mut entries, mut offset, mut line) = (Vec::new(), from, String::new());
    loop {
        line.clear();
        let length = reader.read_line(&mut line)?;
        // A line without its end is still being written.
        if length == 0 || !line.ends_with('\n') {
            return Ok((entries, offset));
        }
        offset += length as u64;
        entries.push(Entry::read(&line)?);
    }
}
