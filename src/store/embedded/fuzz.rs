//! Owns the fuzzer of what the embedded store reads from its file, behind the checksums.

use super::group;

/// The body of a group.
pub fn groups(data: &[u8]) {
    let _ = group::decode(data);
}
