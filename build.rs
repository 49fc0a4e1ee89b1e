//! Owns the embedding of the built pages: every file below frontend-client/dist becomes part of the
//! binary. `src/http/pages.rs` includes the generated list. It needs no Node.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, SystemTime},
};

/// How often the pages are read again while scripts/pages replaces them, with a pause before each
/// try.
const TRIES: u32 = 500;
const PAUSE: Duration = Duration::from_millis(10);

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let pages = root.join("frontend-client");
    let dist = pages.join("dist");
    println!("cargo:rerun-if-changed=build.rs");
    // cargo rebuilds the library each time if a watched path is missing, so its parent is watched
    // instead.
    if let Some(watched) = [&dist, &pages].into_iter().find(|path| path.exists()) {
        println!("cargo:rerun-if-changed={}", watched.display());
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::write(out.join("pages.rs"), table(&dist, &out)?)
}

/// Returns a list of files as Rust text, sorted by path; empty if the folder is missing. The
/// compiler reads copies below `out`, because a rebuild of the pages may rename the originals
/// before it reads them.
pub fn table(dist: &Path, out: &Path) -> io::Result<String> {
    let copies = out.join("pages");
    fs::create_dir_all(&copies)?;
    let mut text = String::from("&[\n");
    for (number, (path, bytes)) in of_one_build(dist)?.into_iter().enumerate() {
        let copy = copies.join(number.to_string());
        fs::write(&copy, &bytes)?;
        let (content_type, etag) = (content_type(&path), format!("\"{:016x}\"", fnv1a(&bytes)));
        text.push_str(&format!(
            "    PageFile {{ path: {path:?}, content_type: {content_type:?}, etag: {etag:?}, bytes: include_bytes!({:?}) }},\n",
            copy.display().to_string()
        ));
    }
    text.push_str("]\n");
    Ok(text)
}

/// Returns every file with its path, sorted. scripts/pages renames the folder to `dist.old`,
/// renames a new one to `dist`, and removes the old one. While it does, everything is read again,
/// so that all files are of one build.
fn of_one_build(dist: &Path) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut tries = 0;
    loop {
        let before = modified(dist);
        let mut files = Vec::new();
        let read = if dist.is_dir() { collect(dist, "", &mut files) } else { Ok(()) };
        let is_replaced = dist.with_extension("old").exists() || modified(dist) != before;
        let is_whole = read.is_ok() && !is_replaced;
        tries += 1;
        if is_whole || tries == TRIES {
            read?;
            files.sort();
            return Ok(files);
        }
        thread::sleep(PAUSE);
    }
}

/// The folder's modification time; it differs between two builds of the pages.
fn modified(dist: &Path) -> Option<SystemTime> {
    fs::metadata(dist).and_then(|folder| folder.modified()).ok()
}

/// Skips files whose names begin with a dot: they are not served.
fn collect(folder: &Path, prefix: &str, files: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}/{name}");
        if name.starts_with('.') {
            continue;
        } else if entry.path().is_dir() {
            collect(&entry.path(), &path, files)?;
        } else {
            files.push((path, fs::read(entry.path())?));
        }
    }
    Ok(())
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "ts" => "application/typescript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "txt" => "text/plain; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "wasm" => "application/wasm",
        _ => "application/octet-stream",
    }
}

/// Hashes a file for its ETag; nothing else depends on it.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
