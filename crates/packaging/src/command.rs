//! Other programs, and what they print.

use std::process::{Command, Stdio};

use anyhow::{Context, bail};

/// What a program prints; its complaints go where ours go.
pub(crate) fn printed(command: &mut Command) -> anyhow::Result<String> {
    let name = name(command);
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start {name}"))?;
    if !output.status.success() {
        bail!("{name} failed ({}); its own words are above", output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("{name} printed bytes that are not text"))
}

/// Runs a program whose output is for people: standard output stays free for results.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let name = name(command);
    let status = command
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status()
        .with_context(|| format!("cannot start {name}"))?;
    if !status.success() {
        bail!("{name} failed ({status}); its own words are above");
    }
    Ok(())
}

/// The program and its first word, which names a subcommand.
fn name(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args().take(1));
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
