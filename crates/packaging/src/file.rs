//! Files that are written whole or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Writes a file whole or not at all.
///
/// # Errors
/// With the path, and what to do where the disk is full.
pub fn replace(
    out: &Path,
    write: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
) -> anyhow::Result<()> {
    let folder = out.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    let written = (|| {
        fs::create_dir_all(folder)?;
        let staged = tempfile::Builder::new().prefix(".new-").tempfile_in(folder)?;
        let mut writer = BufWriter::new(staged.as_file());
        write(&mut writer)?;
        writer.flush()?;
        drop(writer);
        staged.as_file().sync_all()?;
        staged.as_file().set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
        staged.persist(out).map_err(|error| error.error)?;
        Ok(())
    })();
    written.map_err(|error: io::Error| {
        let full = matches!(
            error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
        );
        let advice = if full { "; free 50 MB there, or name another folder" } else { "" };
        anyhow::anyhow!("cannot write {}: {error}{advice}", out.display())
    })
}
