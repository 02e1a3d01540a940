//! Whether the roots of trust of the environment have changed: a private CA is rotated by another file, or another one in
//! its place, while the process goes on.

use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// The files that `SSL_CERT_FILE` and `SSL_CERT_DIR` name, as they were at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Roots(Vec<(PathBuf, Option<Stamp>)>);

/// What another content has otherwise: a file that is written anew, or a link that leads elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    file: (u64, u64),
    length: u64,
    changed: (i64, i64),
}

impl Roots {
    /// The files as they are now.
    ///
    /// # Errors
    /// A sentence, if some are named and none has a certificate: nobody would be trusted.
    pub(super) fn checked() -> Result<Self, String> {
        let now = Self::now();
        if now.0.is_empty() || now.0.iter().any(|(file, _)| has_certificate(file)) {
            return Ok(now);
        }
        // The first of them: a folder may have hundreds.
        let names: Vec<String> = now.0.iter().take(3).map(|(file, _)| file.display().to_string()).collect();
        Err(format!(
            "SSL_CERT_FILE or SSL_CERT_DIR names {}, and no certificate can be read there; put those of your authority there, in PEM",
            names.join(", ")
        ))
    }

    /// The files as they are now, whatever is in them.
    pub(super) fn now() -> Self {
        let file = env::var_os("SSL_CERT_FILE").map(PathBuf::from);
        let folders = env::var_os("SSL_CERT_DIR").map(|paths| env::split_paths(&paths).collect());
        Self::of(file, folders.unwrap_or_default())
    }

    fn of(file: Option<PathBuf>, folders: Vec<PathBuf>) -> Self {
        let mut files: Vec<PathBuf> = file.into_iter().collect();
        for folder in folders {
            let entries = fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
            files.extend(entries);
            files.push(folder);
        }
        files.sort();
        let stamped = |file: PathBuf| {
            let stamp = stamp(&file);
            (file, stamp)
        };
        Self(files.into_iter().map(stamped).collect())
    }
}

fn has_certificate(file: &Path) -> bool {
    let is_one = |found: CertificateDer<'_>| RootCertStore::empty().add(found).is_ok();
    CertificateDer::pem_file_iter(file).is_ok_and(|mut found| found.any(|found| found.is_ok_and(is_one)))
}

/// Links are followed: in a pod a change is another link.
fn stamp(file: &Path) -> Option<Stamp> {
    let found = fs::metadata(file).ok()?;
    Some(Stamp {
        file: (found.dev(), found.ino()),
        length: found.len(),
        changed: (found.mtime(), found.mtime_nsec()),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::Roots;

    #[test]
    fn another_content_another_link_and_another_file_in_a_folder_are_seen() {
        let place = std::env::temp_dir().join(format!("spideriq-roots-{}", std::process::id()));
        fs::create_dir_all(&place).unwrap();
        let (one, two, link) = (place.join("one"), place.join("two"), place.join("link"));
        fs::write(&one, "one").unwrap();
        fs::write(&two, "two").unwrap();
        symlink(&one, &link).unwrap();
        let of_file = || Roots::of(Some(link.clone()), Vec::new());
        let of_folder = || Roots::of(None, vec![place.clone()]);
        let mut before = (of_file(), of_folder());
        assert_eq!((of_file(), of_folder()), before);
        let mut changed = |what: &str| {
            let now = (of_file(), of_folder());
            assert!(now.0 != before.0 && now.1 != before.1, "{what}");
            before = now;
        };
        fs::write(&one, "another").unwrap();
        changed("the content");
        fs::remove_file(&link).unwrap();
        symlink(&two, &link).unwrap();
        changed("the link");
        fs::remove_file(&link).unwrap();
        changed("no link");
        fs::write(place.join("three"), "three").unwrap();
        assert_ne!(of_folder(), before.1);
        fs::remove_dir_all(&place).unwrap();
    }
}
