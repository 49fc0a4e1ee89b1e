//! Owns the privacy of the data directory: only this user may read it (directories 0700, files
//! 0600, whatever the umask).

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io,
    path::Path,
};

/// Prefixes of the names of all files that the server keeps in its data directory.
const OWN_NAMES: [&str; 2] = ["innkeeper.", "operator.key"];

/// Creates the directory for this user alone, and its parents. An existing directory that contains
/// only the server's files loses its access for others, too; one with other programs' files is left
/// as it is.
///
/// # Errors
/// Fails if the directory cannot be created.
pub(crate) fn create_dir(dir: &Path) -> io::Result<()> {
    if !dir.is_dir() {
        if let Some(above) = dir.parent().filter(|above| !above.as_os_str().is_empty()) {
            fs::create_dir_all(above)?;
        }
        match builder().create(dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists || !dir.is_dir() => return Err(error),
            _ => {}
        }
    }
    if has_only_own_files(dir) {
        // This fails if another user owns the directory and lets us write there: its mode is then
        // that user's decision.
        let _ = close_to_others(dir, 0o700);
    }
    Ok(())
}

/// Returns true if other users may create files in the directory, and so replace those in it.
pub(crate) fn is_writable_by_others(dir: &Path) -> bool {
    mode(dir).is_some_and(|mode| mode & 0o022 != 0)
}

/// Options that create a file for this user alone.
pub(crate) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Removes other users' access to a file, if it exists.
///
/// # Errors
/// Fails if the mode cannot be changed, for example because another user owns the file.
pub(crate) fn close_file(path: &Path) -> io::Result<()> {
    match close_to_others(path, 0o600) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn has_only_own_files(dir: &Path) -> bool {
    let Ok(mut entries) = fs::read_dir(dir) else { return false };
    entries.all(|entry| {
        let name = entry.map(|entry| entry.file_name());
        name.is_ok_and(|name| OWN_NAMES.iter().any(|own| name.to_string_lossy().starts_with(own)))
    })
}

#[cfg(unix)]
fn builder() -> DirBuilder {
    use std::os::unix::fs::DirBuilderExt as _;
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    builder
}

#[cfg(not(unix))]
fn builder() -> DirBuilder {
    DirBuilder::new()
}

#[cfg(unix)]
fn mode(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).ok().map(|metadata| metadata.permissions().mode() & 0o777)
}

/// On other systems access lists decide, which the administrator maintains.
#[cfg(not(unix))]
fn mode(_: &Path) -> Option<u32> {
    None
}

#[cfg(unix)]
fn close_to_others(path: &Path, most: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(path)?.permissions().mode() & 0o777;
    if mode & !most == 0 {
        return Ok(());
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode & most))
}

#[cfg(not(unix))]
fn close_to_others(_: &Path, _: u32) -> io::Result<()> {
    Ok(())
}
