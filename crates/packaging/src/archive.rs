//! An OCI archive (<https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md>) of an image of one layer for
//! each kind of machine. `docker load` of any age, `ctr images import`, `kind load image-archive` and `crane push` read it.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;

use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tar::{EntryType, Header};

use crate::arch::Arch;
use crate::file::replace;
use crate::program::Program;
use crate::root::{File, LICENSES};
use crate::set;
use crate::source::Source;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// What people see of the image, by the OCI's own names
/// (<https://github.com/opencontainers/image-spec/blob/v1.1.1/annotations.md>).
pub fn labels(program: &Program, source: &Source) -> Value {
    json!({
        "org.opencontainers.image.created": source.time.to_string(),
        "org.opencontainers.image.description": program.description,
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.revision": source.revision,
        "org.opencontainers.image.title": program.name,
        "org.opencontainers.image.version": source.version,
    })
}

/// Writes an archive of what is in the image on each kind of machine, and returns the digest that registries call it by.
///
/// # Errors
/// If it cannot be written: then nothing is left at this path that was not there before.
pub fn write(
    program: &Program,
    images: &[(Arch, Vec<File>)],
    source: &Source,
    out: &Path,
) -> anyhow::Result<String> {
    let mut blobs = Blobs::default();
    let mut manifests = Vec::new();
    // What a Docker reads that is older than OCI archives; it has one kind of machine.
    let mut docker = Vec::new();
    for (arch, files) in images {
        let (config, layer) = add(&mut blobs, (program, *arch), files, source)?;
        if docker.is_empty() {
            let path = |blob: &Value| format!("blobs/sha256/{}", hex_of(blob));
            let tag = format!("{}:{}", program.name, source.version);
            docker.push(json!({"Config": path(&config), "RepoTags": [tag], "Layers": [path(&layer)]}));
        }
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config,
            "layers": [layer],
            "annotations": labels(program, source),
        });
        let mut manifest = blobs.add(MANIFEST, manifest.to_string().into_bytes());
        set(&mut manifest, "platform", json!({"os": "linux", "architecture": arch.as_str()}));
        manifests.push(manifest);
    }
    let index = json!({
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": manifests,
        "annotations": labels(program, source),
    });
    let mut index = blobs.add(INDEX, index.to_string().into_bytes());
    let digest = format!("sha256:{}", hex_of(&index));
    // containerd calls the image by the first, everybody else by the second.
    let names = json!({
        "io.containerd.image.name": format!("docker.io/library/{}:{}", program.name, source.version),
        "org.opencontainers.image.ref.name": source.version,
    });
    set(&mut index, "annotations", names);
    let layout = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [index]});
    let mut files = vec![
        plain("oci-layout", json!({"imageLayoutVersion": "1.0.0"}).to_string().into_bytes()),
        plain("index.json", layout.to_string().into_bytes()),
        plain("manifest.json", Value::Array(docker).to_string().into_bytes()),
    ];
    files.extend(blobs.0);
    replace(out, |writer| tar_of(&files, source.seconds(), writer))?;
    Ok(digest)
}

/// Adds the layer and the configuration of one image; returns what describes them.
fn add(
    blobs: &mut Blobs,
    (program, arch): (&Program, Arch),
    files: &[File],
    source: &Source,
) -> anyhow::Result<(Value, Value)> {
    let mut layer = Vec::new();
    tar_of(files, source.seconds(), &mut layer)?;
    let mut history = json!({"created": source.time.to_string(), "created_by": "make image"});
    if files.iter().any(|file| file.path.starts_with(LICENSES)) {
        set(&mut history, "comment", format!("licences of all parts are in /{LICENSES}").into());
    }
    let config = json!({
        "architecture": arch.as_str(),
        "os": "linux",
        "created": source.time.to_string(),
        "config": {
            "User": program.user,
            "Entrypoint": [format!("/{}", program.path)],
            "Cmd": program.arguments,
            "Env": program.environment,
            "WorkingDir": "/",
            "Labels": labels(program, source),
        },
        "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]},
        "history": [history],
    });
    let mut packed = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    packed.write_all(&layer)?;
    Ok((blobs.add(CONFIG, config.to_string().into_bytes()), blobs.add(LAYER, packed.finish()?)))
}

/// Parts of an image, by what is in them.
#[derive(Default)]
struct Blobs(Vec<File>);

impl Blobs {
    /// Adds one and returns what describes it.
    fn add(&mut self, media_type: &str, bytes: Vec<u8>) -> Value {
        let described = json!({"mediaType": media_type, "digest": digest(&bytes), "size": bytes.len()});
        let file = plain(&format!("blobs/sha256/{}", hex_of(&described)), bytes);
        // Two kinds of machine may share a part.
        if !self.0.contains(&file) {
            self.0.push(file);
        }
        described
    }
}

fn plain(path: &str, bytes: Vec<u8>) -> File {
    File { path: path.to_owned(), mode: 0o644, bytes }
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

fn hex_of(described: &Value) -> String {
    let digest = described.get("digest").and_then(Value::as_str).unwrap_or_default();
    digest.trim_start_matches("sha256:").to_owned()
}

/// A tar of these files and the folders above them, all of root and of one time.
fn tar_of(files: &[File], seconds: u64, out: impl Write) -> io::Result<()> {
    let mut tar = tar::Builder::new(out);
    let mut entry = |kind: EntryType, path: &str, mode: u32, bytes: &[u8]| {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(seconds);
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, path, bytes)
    };
    let mut made = BTreeSet::new();
    for file in files {
        let above = file.path.match_indices('/').filter_map(|(at, _)| file.path.get(..at));
        for folder in above {
            if made.insert(folder) {
                entry(EntryType::Directory, &format!("{folder}/"), 0o755, &[])?;
            }
        }
        entry(EntryType::Regular, &file.path, file.mode, &file.bytes)?;
    }
    tar.into_inner()?.flush()
}
