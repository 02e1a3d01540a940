//! The bill of materials: a CycloneDX document of all that is in the image.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::arch::Arch;
use crate::binary::{NAME, Toolchain};
use crate::command::run;
use crate::set;
use crate::source::Source;

/// What cargo-cyclonedx calls the files that it puts beside every Cargo.toml.
const FILE: &str = "bill-of-materials";

/// The document for one kind of machine.
///
/// # Errors
/// If cargo-cyclonedx fails.
pub fn of(tree: &Path, arch: Arch, source: &Source, toolchain: &Toolchain) -> anyhow::Result<String> {
    let written = Written(
        [".", "crates/emulator", "crates/testbed", "crates/packaging"]
            .map(|folder| tree.join(folder).join(format!("{FILE}.json"))),
    );
    run(Command::new("cargo")
        .current_dir(tree)
        .args(["cyclonedx", "--quiet", "--format", "json", "--spec-version", "1.5"])
        .args(["--no-build-deps", "--target", arch.target(), "--override-filename", FILE])
        .env("SOURCE_DATE_EPOCH", source.seconds().to_string()))?;
    let [ours, ..] = &written.0;
    let text = fs::read_to_string(ours).with_context(|| format!("cannot read {}", ours.display()))?;
    complete(&text.replace(&format!("file://{}", tree.display()), "file:///src"), arch, source, toolchain)
}

/// The files that cargo-cyclonedx leaves behind, which go whatever happens.
struct Written([PathBuf; 4]);

impl Drop for Written {
    fn drop(&mut self) {
        for path in &self.0 {
            // One that was not made is gone already.
            drop(fs::remove_file(path));
        }
    }
}

/// Adds what cargo does not know of: the C library, the roots of trust, and the tools; and makes it the same each time.
fn complete(text: &str, arch: Arch, source: &Source, toolchain: &Toolchain) -> anyhow::Result<String> {
    let mut bill: Value = serde_json::from_str(text).context("cargo cyclonedx wrote no JSON")?;
    let roots = include_str!("../../../Cargo.lock")
        .split("[[package]]")
        .find(|package| package.contains("name = \"webpki-root-certs\""))
        .and_then(|package| package.split("version = \"").nth(1)?.split('"').next())
        .context("Cargo.lock has no webpki-root-certs")?;
    let libc = toolchain.libc.as_str();
    bill.get_mut("components").and_then(Value::as_array_mut).context("there are no components")?.extend([
        json!({
            "type": "library",
            "bom-ref": "glibc",
            "name": "glibc",
            "version": libc,
            "description": "Linked statically",
            "licenses": [{"license": {"id": "LGPL-2.1-or-later"}}],
        }),
        json!({
            "type": "data",
            "bom-ref": "webpki-root-certs",
            "name": "webpki-root-certs",
            "version": roots,
            "purl": format!("pkg:cargo/webpki-root-certs@{roots}"),
            "description": "Mozilla's roots of trust, as a file",
            "licenses": [{"license": {"id": "CDLA-Permissive-2.0"}}],
        }),
    ]);
    let tool = |name: &str, version: &str| json!({"type": "application", "name": name, "version": version});
    let [driver, linker] = &toolchain.linkers;
    let metadata = bill.get_mut("metadata").context("there is no metadata")?;
    set(metadata, "timestamp", json!(source.time.to_string()));
    let made_by = metadata.pointer("/tools/0").cloned().context("cargo cyclonedx does not name itself")?;
    let made_by = tool("cargo-cyclonedx", made_by.get("version").and_then(Value::as_str).unwrap_or_default());
    let tools =
        [made_by, tool("rustc", &toolchain.rustc), tool("linker driver", driver), tool("linker", linker)];
    set(metadata, "tools", json!({"components": tools}));
    let revision = json!({"name": "spideriq:revision", "value": source.revision});
    metadata
        .get_mut("properties")
        .and_then(Value::as_array_mut)
        .context("there are no properties")?
        .push(revision);
    let name = format!("{NAME} {} {} {libc}", source.revision, arch.target());
    set(&mut bill, "serialNumber", json!(serial(&name)));
    Ok(serde_json::to_string_pretty(&bill)? + "\n")
}

/// A UUID of version 8 (RFC 9562: of one's own making) from a name.
fn serial(name: &str) -> String {
    let mut hex = hex::encode(Sha256::digest(name));
    hex.truncate(32);
    hex.replace_range(12..13, "8");
    hex.replace_range(16..17, "8");
    let mut parts = Vec::new();
    for length in [8, 4, 4, 4, 12] {
        let rest = hex.split_off(length);
        parts.push(std::mem::replace(&mut hex, rest));
    }
    format!("urn:uuid:{}", parts.join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_number_is_a_uuid_of_its_name() {
        let (one, other) = (serial("a"), serial("b"));
        assert!(one != other && one == serial("a"));
        let parts: Vec<&str> = one.trim_start_matches("urn:uuid:").split('-').collect();
        assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
        assert!(parts[2].starts_with('8') && parts[3].starts_with('8'), "{one}");
    }
}
