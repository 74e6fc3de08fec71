//! One fact as one line: a checksum, a space, the event's JSON, a newline.

use sha2::{Digest, Sha256};
use specwright_shared::wire::event::RawEvent;

/// Hexadecimal digits of the checksum: 64 bits of SHA-256 tell a torn line from a whole one.
const CHECKSUM_DIGITS: usize = 16;

fn checksum(json: &[u8]) -> String {
    let mut digits = hex::encode(Sha256::digest(json));
    digits.truncate(CHECKSUM_DIGITS);
    digits
}

/// Appends an event's line.
pub(super) fn write(event: &RawEvent, into: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    let json = serde_json::to_vec(event)?;
    into.extend_from_slice(checksum(&json).as_bytes());
    into.push(b' ');
    into.extend_from_slice(&json);
    into.push(b'\n');
    Ok(())
}

/// Reads a line without its newline; `None` for one that is not whole.
pub(super) fn read(line: &[u8]) -> Option<RawEvent> {
    let (sum, rest) = line.split_at_checked(CHECKSUM_DIGITS)?;
    let json = rest.strip_prefix(b" ")?;
    if checksum(json).as_bytes() != sum {
        return None;
    }
    serde_json::from_slice(json).ok()
}
