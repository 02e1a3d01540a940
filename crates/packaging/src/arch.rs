//! The kinds of machine that an image is made for.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;

use anyhow::{Context, bail};

use crate::command::printed;

/// A kind of machine, as images name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arch {
    /// `x86_64`.
    Amd64,
    /// `aarch64`.
    Arm64,
}

impl FromStr for Arch {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "amd64" => Ok(Self::Amd64),
            "arm64" => Ok(Self::Arm64),
            other => Err(format!("no image is made for '{other}'; say amd64 or arm64")),
        }
    }
}

impl Arch {
    /// That of this machine.
    ///
    /// # Errors
    /// If no image is made for it.
    pub fn of_this_machine() -> anyhow::Result<Self> {
        match std::env::consts::ARCH {
            "x86_64" => Ok(Self::Amd64),
            "aarch64" => Ok(Self::Arm64),
            other => bail!("no image is made for a machine of the kind {other}"),
        }
    }

    /// The word of the OCI image specification.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// rustc's name of the target. Its C library is glibc: a static one needs nothing of the machine that it runs on.
    pub const fn target(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-unknown-linux-gnu",
            Self::Arm64 => "aarch64-unknown-linux-gnu",
        }
    }

    /// What links for it: the machine's own compiler, or a cross compiler by the name that distributions give it.
    pub const fn linker(self) -> &'static str {
        self.debian().0
    }

    /// The linker, and the packages of Debian that it and the static C library come from.
    const fn debian(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Amd64 if cfg!(target_arch = "x86_64") => ("cc", "gcc", "libc6-dev"),
            Self::Arm64 if cfg!(target_arch = "aarch64") => ("cc", "gcc", "libc6-dev"),
            Self::Amd64 => ("x86_64-linux-gnu-gcc", "gcc-x86-64-linux-gnu", "libc6-dev-amd64-cross"),
            Self::Arm64 => ("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"),
        }
    }

    /// The static C library for it, once all that a build needs is found to be there.
    ///
    /// # Errors
    /// One sentence that says what to install.
    pub fn libc(self) -> anyhow::Result<PathBuf> {
        let (arch, target) = (self.as_str(), self.target());
        let (linker, compiler, library) = self.debian();
        let libraries =
            printed(Command::new("rustc").args(["--print", "target-libdir", "--target", target]))?;
        if !Path::new(libraries.trim()).is_dir() {
            bail!("Rust cannot build for {arch} here; install its target with `rustup target add {target}`");
        }
        let found = Command::new(linker).arg("-print-file-name=libc.a").output();
        let Ok(found) = found else {
            bail!("{linker} is not installed; install a C compiler for {arch} (Debian: {compiler})");
        };
        // A compiler that has no such file prints the bare name back.
        let found = PathBuf::from(String::from_utf8_lossy(&found.stdout).trim());
        if !found.is_absolute() {
            bail!(
                "the static files of the C library for {arch} are not installed; install glibc's static files (Debian: {library}, Fedora: glibc-static)"
            );
        }
        found.canonicalize().with_context(|| format!("cannot read {}", found.display()))
    }
}
