//! `packaging`: makes the operator's image. `make image` and `make root` start it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use packaging::arch::Arch;
use packaging::binary::Toolchain;
use packaging::program::{EMULATOR, OPERATOR};
use packaging::root::File;
use packaging::source::Source;
use packaging::{archive, bill, binary, file, root};

/// Makes the operator's image, reproducibly.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
enum Arguments {
    /// Make an OCI archive and a bill of materials for each kind of machine; print the image's digest.
    Image {
        /// Kinds of machine: amd64, arm64.
        #[arg(long, value_delimiter = ',', default_value = "amd64")]
        arch: Vec<Arch>,
        /// The folder to put them into.
        #[arg(long)]
        out: PathBuf,
    },
    /// Make an OCI archive of the emulator, for tests on a node of this kind of machine.
    Emulator {
        /// The kind of machine.
        #[arg(long)]
        arch: Arch,
        /// The folder to put it into.
        #[arg(long)]
        out: PathBuf,
    },
    /// Lay out what is in the image as a folder, for a Dockerfile to copy.
    Root {
        /// The kind of machine.
        #[arg(long)]
        arch: Arch,
        /// The folder.
        #[arg(long)]
        out: PathBuf,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("packaging: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    let tree = std::env::current_dir().context("there is no folder to work in")?;
    match arguments {
        Arguments::Image { arch, out } => image(&tree, &arch, &out),
        Arguments::Emulator { arch, out } => emulator(&tree, arch, &out),
        Arguments::Root { arch, out } => root::lay_out(&files(&tree, arch)?.0, &out),
    }
}

fn image(tree: &Path, archs: &[Arch], out: &Path) -> anyhow::Result<()> {
    let source = Source::of(tree)?;
    // What is missing is said before anything is built.
    for arch in archs {
        arch.libc()?;
    }
    let mut images = Vec::new();
    for arch in archs.iter().copied() {
        let (files, toolchain) = files(tree, arch)?;
        images.push((arch, files));
        let bill = bill::of(tree, arch, &source, &toolchain)?;
        let name = format!("{}-{}-linux-{}.cdx.json", binary::NAME, source.version, arch.as_str());
        written(&out.join(name), |path| file::replace(path, |file| file.write_all(bill.as_bytes())))?;
    }
    let name = format!("{}-{}.oci.tar", binary::NAME, source.version);
    let digest = written(&out.join(name), |path| archive::write(&OPERATOR, &images, &source, path))?;
    println!("{digest}");
    Ok(())
}

fn emulator(tree: &Path, arch: Arch, out: &Path) -> anyhow::Result<()> {
    let source = Source::of(tree)?;
    let binary = binary::build(tree, arch, &EMULATOR)?;
    let bytes = fs::read(&binary).with_context(|| format!("cannot read {}", binary.display()))?;
    let files = vec![File { path: EMULATOR.path.to_owned(), mode: 0o755, bytes }];
    let name = format!("{}-{}.oci.tar", EMULATOR.name, source.version);
    written(&out.join(name), |path| archive::write(&EMULATOR, &[(arch, files)], &source, path))?;
    Ok(())
}

/// What is in the image for one kind of machine, and what its binary is linked from.
fn files(tree: &Path, arch: Arch) -> anyhow::Result<(Vec<File>, Toolchain)> {
    let binary = binary::build(tree, arch, &OPERATOR)?;
    let bytes = fs::read(&binary).with_context(|| format!("cannot read {}", binary.display()))?;
    let toolchain = binary::toolchain(arch)?;
    Ok((root::files(bytes, root::licenses(tree, arch, &toolchain)?), toolchain))
}

/// Says where a file was written to.
fn written<T>(path: &Path, write: impl FnOnce(&Path) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let result = write(path)?;
    eprintln!("packaging: wrote {}", path.display());
    Ok(result)
}
