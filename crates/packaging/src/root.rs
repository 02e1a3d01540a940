//! What is in the image: the binary, the roots of trust, the names of its user, and the licences.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use sha2::{Digest, Sha256};

use crate::arch::Arch;
use crate::binary::{NAME, Toolchain, target_folder};
use crate::command::{printed, run};
use crate::file::replace;
use crate::program::OPERATOR;

/// Where the binary is.
pub const BINARY: &str = OPERATOR.path;
/// Where TLS libraries look for roots of trust.
pub const ROOTS: &str = "etc/ssl/certs/ca-certificates.crt";
/// Where licences are.
pub const LICENSES: &str = "licenses";

const LGPL: &str = include_str!("../licenses/LGPL-2.1.txt");
const CDLA: &str = include_str!("../licenses/CDLA-Permissive-2.0.txt");
/// Where distributions keep the notices of the parts of glibc that have other licences.
const GLIBC_NOTICES: [&str; 2] = ["/usr/share/doc/libc6-dev/copyright", "/usr/share/licenses/glibc/LICENSES"];

/// A file of the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its path, without a slash in front.
    pub path: String,
    /// Its permissions.
    pub mode: u32,
    /// What is in it.
    pub bytes: Vec<u8>,
}

impl File {
    fn new(path: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { path: path.into(), mode: 0o644, bytes: bytes.into() }
    }
}

/// All files of an image around this binary and these licences.
pub fn files(binary: Vec<u8>, licenses: Vec<File>) -> Vec<File> {
    let mut files = vec![
        File { mode: 0o755, ..File::new(BINARY, binary) },
        File::new(ROOTS, roots()),
        File::new("etc/group", "root:x:0:\nnonroot:x:65532:\n"),
        // glibc looks for addresses in the kubelet's /etc/hosts first, and then asks DNS.
        File::new("etc/nsswitch.conf", "hosts: files dns\n"),
        File::new(
            "etc/passwd",
            "root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n",
        ),
    ];
    files.extend(licenses);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

/// Mozilla's roots of trust as one PEM file. They come from a pinned crate: those of the building machine may hold private
/// ones, and every user of the image would trust them.
fn roots() -> String {
    let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
    roots.map(|root| pem::encode(&pem::Pem::new("CERTIFICATE", root.as_ref()))).collect()
}

/// The licences of all that is linked or copied into the image.
///
/// # Errors
/// If the notices of a part are not to be had: without them nobody may pass the image on.
pub fn licenses(tree: &Path, arch: Arch, toolchain: &Toolchain) -> anyhow::Result<Vec<File>> {
    let read = |path: &Path, what: &str| {
        fs::read(path).with_context(|| format!("the notices of {what} are not there: {}", path.display()))
    };
    let sysroot = PathBuf::from(printed(Command::new("rustc").args(["--print", "sysroot"]))?.trim());
    let Some(glibc) = GLIBC_NOTICES.iter().map(Path::new).find(|path| path.is_file()) else {
        bail!(
            "the notices of glibc are not there; install its documentation, so that {} exists",
            GLIBC_NOTICES.join(" or ")
        );
    };
    let relinked = format!(
        "The binary is linked with the static files of glibc:\n{}\n\nIts source is that of your distribution's package of this version, and of https://sourceware.org/glibc.\nglibc is under the LGPL 2.1 or later. `make image` in the source of {NAME} links the binary anew, with the glibc that is installed where it runs.\n",
        toolchain.libc
    );
    let at = |path: &str| format!("{LICENSES}/{path}");
    Ok(vec![
        File::new(at("LICENSE"), read(&tree.join("LICENSE"), NAME)?),
        File::new(at("NOTICES.txt"), notices(tree, arch)?),
        File::new(at("glibc/LGPL-2.1.txt"), LGPL),
        File::new(at("glibc/NOTICES.txt"), read(glibc, "glibc")?),
        File::new(at("glibc/README.txt"), relinked),
        File::new(at("roots-of-trust/CDLA-Permissive-2.0.txt"), CDLA),
        File::new(
            at("rust/COPYRIGHT-library.html"),
            read(&sysroot.join("share/doc/rust/COPYRIGHT-library.html"), "Rust's standard library")?,
        ),
    ])
}

/// The licences of all crates that are linked, with those in the heads of their files. Reading tens of thousands of files
/// takes minutes: what is found is kept until a crate changes.
fn notices(tree: &Path, arch: Arch) -> anyhow::Result<Vec<u8>> {
    let packaging = tree.join("crates/packaging");
    let (config, template) = (packaging.join("about.toml"), packaging.join("about.hbs"));
    let mut of = Sha256::new();
    of.update(arch.target());
    for path in [&config, &template, &tree.join("Cargo.lock")] {
        of.update(fs::read(path).with_context(|| format!("cannot read {}", path.display()))?);
    }
    let kept = target_folder(tree)?.join("notices").join(hex::encode(of.finalize()));
    if let Ok(notices) = fs::read(&kept) {
        return Ok(notices);
    }
    eprintln!(
        "packaging: looking for the licences of all crates; the first time takes about 2 minutes, later they are kept"
    );
    let room = tempfile::tempdir()?;
    let out = room.path().join("NOTICES.txt");
    run(Command::new("cargo")
        .current_dir(tree)
        .args(["about", "generate", "--fail", "--locked", "--target", arch.target(), "--config"])
        .arg(&config)
        .arg("--output-file")
        .arg(&out)
        .arg(&template))?;
    let notices = fs::read(&out).context("cargo about wrote nothing")?;
    replace(&kept, |file| file.write_all(&notices))?;
    Ok(notices)
}

/// Lays the files out as a folder.
///
/// # Errors
/// If one cannot be written.
pub fn lay_out(files: &[File], folder: &Path) -> anyhow::Result<()> {
    for file in files {
        let path = folder.join(&file.path);
        let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| {
            fs::write(&path, &file.bytes)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(file.mode))
        });
        written.with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
