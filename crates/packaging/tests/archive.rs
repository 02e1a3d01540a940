//! What an archive is, read back as the OCI image specification says, and what is said where none can be made.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::{env, fs};

use flate2::read::GzDecoder;
use packaging::arch::Arch;
use packaging::archive;
use packaging::program::OPERATOR;
use packaging::root::{self, BINARY, File, LICENSES, ROOTS};
use packaging::source::Source;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// What the archive of two fixed files is called: it changes with the writer, and with nothing else.
const FIXED: &str = "sha256:3ff48ce5fa632c17e30c2a0a2d638096cd543423c2379ac089380238d991bf49";
/// Tells a test that it runs in a process of its own, and where it writes to.
const CHILD: &str = "PACKAGING_TEST_OUT";

fn source() -> Source {
    Source {
        version: "0.1.0".to_owned(),
        revision: "0123abc".to_owned(),
        time: "2026-11-28T10:00:00Z".parse().unwrap(),
    }
}

fn images() -> Vec<(Arch, Vec<File>)> {
    let files = |binary: &[u8]| root::files(binary.to_vec(), vec![file("licenses/LICENSE", b"free")]);
    vec![(Arch::Amd64, files(b"for amd64")), (Arch::Arm64, files(b"for arm64"))]
}

fn file(path: &str, bytes: &[u8]) -> File {
    File { path: path.to_owned(), mode: 0o644, bytes: bytes.to_vec() }
}

/// The files of a tar: mode, and bytes. All are of root and of one time.
fn unpacked(tar: impl Read) -> BTreeMap<String, (u32, Vec<u8>)> {
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(tar).entries().unwrap() {
        let mut entry = entry.unwrap();
        let header = entry.header();
        assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
        assert_eq!(header.mtime().unwrap(), source().seconds());
        let (path, mode) = (entry.path().unwrap().to_str().unwrap().to_owned(), header.mode().unwrap());
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        assert!(files.insert(path, (mode, bytes)).is_none(), "a path is there twice");
    }
    files
}

fn parsed(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

/// What a descriptor describes, with the size and the digest that it says.
fn described<'a>(files: &'a BTreeMap<String, (u32, Vec<u8>)>, descriptor: &Value) -> &'a [u8] {
    let digest = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
    let (_, bytes) = &files[&format!("blobs/sha256/{digest}")];
    assert_eq!(hex::encode(Sha256::digest(bytes)), digest);
    assert_eq!(descriptor["size"], json!(bytes.len()));
    bytes
}

#[test]
fn an_archive_is_the_same_each_time_and_is_what_the_specification_says() {
    let room = tempfile::tempdir().unwrap();
    let paths = ["one/a.tar", "two/b.tar"].map(|path| room.path().join(path));
    let digests = paths.each_ref().map(|path| archive::write(&OPERATOR, &images(), &source(), path).unwrap());
    let bytes = fs::read(&paths[0]).unwrap();
    assert!(bytes == fs::read(&paths[1]).unwrap() && digests[0] == digests[1]);
    assert_eq!(fs::metadata(&paths[0]).unwrap().permissions().mode() & 0o777, 0o644);

    let files = unpacked(bytes.as_slice());
    assert_eq!(parsed(&files["oci-layout"].1), json!({"imageLayoutVersion": "1.0.0"}));
    let layout = parsed(&files["index.json"].1);
    let named = &layout["manifests"][0];
    assert_eq!(named["digest"], json!(digests[0]));
    assert_eq!(named["annotations"]["io.containerd.image.name"], "docker.io/library/spideriq-operator:0.1.0");
    assert_eq!(named["annotations"]["org.opencontainers.image.ref.name"], "0.1.0");
    let index = parsed(described(&files, named));
    let platforms: Vec<_> =
        index["manifests"].as_array().unwrap().iter().map(|one| &one["platform"]).collect();
    assert_eq!(
        platforms,
        [&json!({"os": "linux", "architecture": "amd64"}), &json!({"os": "linux", "architecture": "arm64"})]
    );
    for (descriptor, arch) in index["manifests"].as_array().unwrap().iter().zip(["amd64", "arm64"]) {
        let manifest = parsed(described(&files, descriptor));
        let config = parsed(described(&files, &manifest["config"]));
        assert_eq!(config["architecture"], arch);
        assert_eq!(config["config"]["User"], OPERATOR.user);
        assert_eq!(config["config"]["Entrypoint"], json!([format!("/{BINARY}")]));
        assert_eq!(config["config"]["Env"], json!(OPERATOR.environment));
        assert_eq!(config["config"]["Labels"]["org.opencontainers.image.created"], "2026-11-28T10:00:00Z");
        let mut layer = Vec::new();
        let packed = described(&files, &manifest["layers"][0]);
        GzDecoder::new(packed).read_to_end(&mut layer).unwrap();
        assert_eq!(
            config["rootfs"]["diff_ids"],
            json!([format!("sha256:{}", hex::encode(Sha256::digest(&layer)))])
        );
        let inside = unpacked(layer.as_slice());
        assert_eq!(inside[BINARY], (0o755, format!("for {arch}").into_bytes()));
        assert_eq!(inside[&format!("{LICENSES}/LICENSE")], (0o644, b"free".to_vec()));
        assert_eq!(inside["etc/nsswitch.conf"].1, b"hosts: files dns\n");
        assert!(String::from_utf8_lossy(&inside["etc/passwd"].1).contains("nonroot:x:65532:65532:"));
        let roots = String::from_utf8(inside[ROOTS].1.clone()).unwrap();
        assert!(pem::parse_many(&roots).unwrap().len() > 100);
        // Each folder stands before what is in it.
        for path in inside.keys().filter(|path| !path.ends_with('/')) {
            let folder = &path[..=path.rfind('/').unwrap()];
            assert_eq!(inside[folder].0, 0o755, "{folder}");
        }
    }
    // An older Docker finds the first of them.
    let docker = parsed(&files["manifest.json"].1);
    assert_eq!(docker[0]["RepoTags"], json!(["spideriq-operator:0.1.0"]));
    for path in [&docker[0]["Config"], &docker[0]["Layers"][0]] {
        assert!(files.contains_key(path.as_str().unwrap()), "{path}");
    }
}

#[test]
fn the_writer_makes_the_bytes_that_it_made_before() {
    let room = tempfile::tempdir().unwrap();
    let files = vec![file("etc/one", b"1"), file("usr/bin/two", &[2; 100_000])];
    let digest =
        archive::write(&OPERATOR, &[(Arch::Amd64, files)], &source(), &room.path().join("fixed.tar"))
            .unwrap();
    assert_eq!(digest, FIXED, "the writer makes other bytes; if that is meant, write the new digest here");
}

/// Runs a test of this file again, in a process of its own.
fn again(test: &str, shell: &str, out: &Path, variables: &[(&str, &Path)]) -> Output {
    let mut command = Command::new("bash");
    command.args(["-c", &format!("{shell} exec \"$0\" --exact \"$1\" --nocapture")]);
    command.arg(env::current_exe().unwrap()).arg(test).env(CHILD, out);
    command.envs(variables.iter().copied()).output().unwrap()
}

#[test]
fn a_private_root_of_the_machine_is_not_in_the_image() {
    if let Some(out) = env::var_os(CHILD) {
        archive::write(&OPERATOR, &images(), &source(), out.as_ref()).unwrap();
        return;
    }
    let room = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let private = rcgen::CertificateParams::new(vec!["ca.private.example".to_owned()])
        .unwrap()
        .self_signed(&key)
        .unwrap();
    let bundle = room.path().join("bundle.pem");
    fs::write(&bundle, private.pem()).unwrap();
    let out = room.path().join("image.tar");
    let said = again(
        "a_private_root_of_the_machine_is_not_in_the_image",
        "",
        &out,
        &[("SSL_CERT_FILE", &bundle), ("SSL_CERT_DIR", room.path())],
    );
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stdout));
    let files = unpacked(fs::read(&out).unwrap().as_slice());
    let mut seen = 0;
    for (_, bytes) in files.values() {
        let mut layer = Vec::new();
        if GzDecoder::new(bytes.as_slice()).read_to_end(&mut layer).is_err() {
            continue;
        }
        for root in pem::parse_many(&unpacked(layer.as_slice())[ROOTS].1).unwrap() {
            assert_ne!(root.contents(), private.der().as_ref());
            seen += 1;
        }
    }
    assert!(seen > 100);
}

#[test]
fn a_full_disk_leaves_nothing_behind_and_says_what_to_do() {
    if let Some(out) = env::var_os(CHILD) {
        let error = archive::write(&OPERATOR, &images(), &source(), out.as_ref()).unwrap_err();
        println!("{error:#}");
        return;
    }
    let room = tempfile::tempdir().unwrap();
    let out = room.path().join("image.tar");
    fs::write(&out, "the one before").unwrap();
    // 8 KiB is all that may be written.
    let said = again(
        "a_full_disk_leaves_nothing_behind_and_says_what_to_do",
        "trap '' XFSZ; ulimit -f 8;",
        &out,
        &[],
    );
    let words = String::from_utf8_lossy(&said.stdout);
    assert!(
        words.contains(&format!("cannot write {}: ", out.display())) && words.contains("free 50 MB there"),
        "{words}"
    );
    assert_eq!(fs::read_to_string(&out).unwrap(), "the one before");
    assert_eq!(fs::read_dir(room.path()).unwrap().count(), 1);
}

/// What `packaging image` says where these programs print what they print.
fn refused(programs: &[(&str, &str)], arch: &str) -> String {
    let room = tempfile::tempdir().unwrap();
    for (name, script) in programs {
        let path = room.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:{}", room.path().display(), env::var("PATH").unwrap());
    let said = Command::new(env!("CARGO_BIN_EXE_packaging"))
        .args(["image", "--arch", arch, "--out"])
        .arg(room.path().join("out"))
        .env("PATH", path)
        .env("SOURCE_DATE_EPOCH", "1")
        .env("SOURCE_REVISION", "0123abc")
        .output()
        .unwrap();
    assert!(!said.status.success() && said.stdout.is_empty());
    assert!(!room.path().join("out").exists());
    String::from_utf8(said.stderr).unwrap()
}

#[test]
fn what_is_missing_is_said_before_anything_is_built() {
    let targets = format!("echo {}", env!("CARGO_MANIFEST_DIR"));
    let (cc, cross) = if cfg!(target_arch = "x86_64") {
        ("cc", "aarch64-linux-gnu-gcc")
    } else {
        ("x86_64-linux-gnu-gcc", "cc")
    };
    let said = refused(&[("rustc", &targets), (cc, "echo libc.a")], "amd64");
    assert!(
        said.starts_with("packaging: the static files of the C library for amd64 are not installed; install"),
        "{said}"
    );
    let said = refused(&[("rustc", &targets), (cross, "echo libc.a")], "arm64");
    assert!(
        said.starts_with("packaging: the static files of the C library for arm64 are not installed; install"),
        "{said}"
    );
    let said = refused(&[("rustc", "echo /none")], "arm64");
    assert_eq!(
        said,
        "packaging: Rust cannot build for arm64 here; install its target with `rustup target add aarch64-unknown-linux-gnu`\n"
    );
    let said = refused(&[], "s390x");
    assert!(said.contains("no image is made for 's390x'; say amd64 or arm64"), "{said}");
}

#[test]
fn the_licences_that_may_be_linked_are_those_that_notices_may_hold() {
    let list = |text: &str, key: &str| {
        let line = text.lines().find(|line| line.starts_with(key)).unwrap().to_owned();
        line.split('"').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()
    };
    let allowed = list(include_str!("../../../deny.toml"), "allow = ");
    assert_eq!(list(include_str!("../about.toml"), "accepted = "), allowed);
}

#[test]
fn the_dockerfile_makes_the_same_image() {
    let dockerfile = include_str!("../../../Dockerfile");
    let line = |word: &str| dockerfile.lines().rfind(|line| line.starts_with(word)).unwrap();
    let (entrypoint, arguments) = ([format!("/{}", OPERATOR.path)], OPERATOR.arguments);
    assert_eq!(line("USER "), format!("USER {}", OPERATOR.user));
    assert_eq!(line("ENTRYPOINT "), format!("ENTRYPOINT {}", json!(entrypoint)));
    assert_eq!(line("ENV "), format!("ENV {}", OPERATOR.environment.join(" ")));
    assert_eq!(line("CMD "), format!("CMD {}", json!(arguments)));
    // The same command builds the binary, with the same flags, and lays out the same files.
    assert!(dockerfile.contains("make root ") && line("FROM ") == "FROM scratch");
    assert!(!dockerfile.contains("cargo build") && !dockerfile.contains("RUSTFLAGS"));
    let channel = include_str!("../../../rust-toolchain.toml").split('"').nth(1).unwrap();
    assert!(dockerfile.contains(&format!("FROM docker.io/library/rust:{channel}-slim-bookworm AS build")));
    for key in archive::labels(&OPERATOR, &source()).as_object().unwrap().keys() {
        // The time is set by Docker itself, which cannot write one in words.
        let set = key == "org.opencontainers.image.created" || dockerfile.contains(&format!("{key}=\""));
        assert!(set, "the Dockerfile has no label {key}");
    }
    let version = env!("CARGO_PKG_VERSION");
    assert!(dockerfile.contains(&format!("org.opencontainers.image.version=\"{version}\"")));
}
