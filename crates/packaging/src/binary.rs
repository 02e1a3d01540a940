//! The static binary, and what it is linked from.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use serde_json::Value;

use crate::arch::Arch;
use crate::command::{printed, run};
use crate::program::{OPERATOR, Program};

/// The name of the operator's binary.
pub const NAME: &str = OPERATOR.name;

/// What a binary is linked from: with the commit, all that its bytes depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toolchain {
    /// The compiler.
    pub rustc: String,
    /// What drives the linker, and the linker.
    pub linkers: [String; 2],
    /// The C library's own words about its version, read from the file that is linked.
    pub libc: String,
}

/// Builds a binary, with the data of `cargo auditable` in it, and returns where it is.
///
/// # Errors
/// What to install, or that cargo failed.
pub fn build(tree: &Path, arch: Arch, program: &Program) -> anyhow::Result<PathBuf> {
    arch.libc()?;
    let folder = target_folder(tree)?;
    let mut cargo = Command::new("cargo");
    // Settings of the machine would change the bytes.
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PROFILE_") {
            cargo.env_remove(name);
        }
    }
    let underscored = arch.target().replace('-', "_");
    let moved = moved(tree, &folder)?;
    let mapped =
        |flag: &str| moved.iter().map(|(from, to)| format!("{flag}={from}={to}")).collect::<Vec<_>>();
    let mut flags =
        vec!["-Ctarget-feature=+crt-static".to_owned(), "-Clink-arg=-Wl,--build-id=none".to_owned()];
    flags.extend(mapped("--remap-path-prefix"));
    run(cargo
        .current_dir(tree)
        .args([
            "auditable",
            "build",
            "--release",
            "--locked",
            "--package",
            program.package,
            "--bin",
            program.name,
        ])
        .args(["--target", arch.target()])
        .env("CARGO_TARGET_DIR", &folder)
        .env("CARGO_INCREMENTAL", "0")
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
        .env(format!("CARGO_TARGET_{}_LINKER", underscored.to_uppercase()), arch.linker())
        .env(format!("CC_{underscored}"), arch.linker())
        .env(format!("CFLAGS_{underscored}"), mapped("-ffile-prefix-map").join(" ")))?;
    Ok(folder.join(arch.target()).join("release").join(program.name))
}

/// The folders whose names would end up in the binary, and what stands there instead; the last that fits counts.
fn moved(tree: &Path, target: &Path) -> anyhow::Result<[(String, &'static str); 3]> {
    let text = |path: &Path| -> anyhow::Result<String> {
        let text = path.to_str().with_context(|| format!("{} is not a name in UTF-8", path.display()))?;
        // Such a name would be two arguments of the C compiler.
        if text.contains(char::is_whitespace) {
            bail!("'{text}' has a space in it; build in a folder without one");
        }
        Ok(text.to_owned())
    };
    Ok([(text(&cargo_home()?)?, "/cargo"), (text(tree)?, "/src"), (text(target)?, "/target")])
}

fn cargo_home() -> anyhow::Result<PathBuf> {
    env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(env::home_dir()?.join(".cargo")))
        .context("no home folder; set HOME or CARGO_HOME")
}

/// Where cargo builds, as it says itself: the environment or a file of settings may name another folder.
pub(crate) fn target_folder(tree: &Path) -> anyhow::Result<PathBuf> {
    let text = printed(Command::new("cargo").current_dir(tree).args([
        "metadata",
        "--no-deps",
        "--format-version=1",
        "--locked",
    ]))?;
    let metadata: Value = serde_json::from_str(&text).context("cargo metadata printed no JSON")?;
    let folder = metadata.get("target_directory").and_then(Value::as_str);
    Ok(PathBuf::from(folder.context("cargo metadata names no target_directory")?))
}

/// What the binary for a kind of machine is linked from.
///
/// # Errors
/// If a part of it does not say what it is.
pub fn toolchain(arch: Arch) -> anyhow::Result<Toolchain> {
    let first = |text: String| text.lines().next().unwrap_or_default().trim().to_owned();
    let libraries = printed(Command::new("rustc").args(["--print", "target-libdir"]))?;
    let lld = Path::new(libraries.trim()).with_file_name("bin").join("rust-lld");
    Ok(Toolchain {
        rustc: first(printed(Command::new("rustc").arg("--version"))?),
        linkers: [
            first(printed(Command::new(arch.linker()).arg("--version"))?),
            first(printed(Command::new(lld).args(["-flavor", "gnu", "--version"]))?),
        ],
        libc: banner(&arch.libc()?)?,
    })
}

/// What a static C library says of itself, such as `GNU C Library (Debian GLIBC 2.36-9+deb12u14) stable release version 2.36`.
fn banner(library: &Path) -> anyhow::Result<String> {
    const BEGINS: &[u8] = b"GNU C Library (";
    let bytes = fs::read(library).with_context(|| format!("cannot read {}", library.display()))?;
    let begins = bytes.windows(BEGINS.len()).position(|window| window == BEGINS);
    let line =
        begins.and_then(|at| bytes.get(at..)).and_then(|rest| rest.split(|byte| *byte == b'\n').next());
    let text = line.map(|line| String::from_utf8_lossy(line).trim_end_matches('.').to_owned());
    text.filter(|text| text.len() < 200).with_context(|| {
        format!("{} does not say which glibc it is; another C library cannot be used", library.display())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_c_library_says_its_version() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(&file, b"\0\x7fGNU C Library (Own 2.36-9) stable release version 2.36.\nCopyright")
            .unwrap();
        assert_eq!(banner(file.path()).unwrap(), "GNU C Library (Own 2.36-9) stable release version 2.36");
        fs::write(&file, b"musl").unwrap();
        assert!(banner(file.path()).unwrap_err().to_string().contains("which glibc"));
    }
}
