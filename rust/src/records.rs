//! The one binary form of a chunk list: 36-byte records, each a raw 32-byte hash and a u32 LE length.

use xet_core_structures::merklehash::MerkleHash;

use crate::error::{CodecError, Result};

pub const HASH_BYTES: usize = 32;
pub const RECORD_BYTES: usize = HASH_BYTES + 4;

pub fn push_record(out: &mut Vec<u8>, hash: &MerkleHash, length: u32) {
    out.extend_from_slice(hash.as_bytes());
    out.extend_from_slice(&length.to_le_bytes());
}

pub fn read_records(bytes: &[u8]) -> Result<Vec<(MerkleHash, u64)>> {
    if !bytes.len().is_multiple_of(RECORD_BYTES) {
        return Err(CodecError::argument(format!(
            "a chunk list has {} bytes, which is no multiple of {RECORD_BYTES}",
            bytes.len()
        )));
    }
    bytes
        .chunks_exact(RECORD_BYTES)
        .map(|record| {
            Ok((
                read_hash(&record[..HASH_BYTES])?,
                u64::from(read_u32(&record[HASH_BYTES..])),
            ))
        })
        .collect()
}

pub fn read_hash(bytes: &[u8]) -> Result<MerkleHash> {
    MerkleHash::from_slice(bytes)
        .map_err(|_| CodecError::argument(format!("a hash has {} bytes, not 32", bytes.len())))
}

pub fn read_hashes(bytes: &[u8]) -> Result<Vec<MerkleHash>> {
    if !bytes.len().is_multiple_of(HASH_BYTES) {
        return Err(CodecError::argument(format!(
            "a hash list has {} bytes, which is no multiple of 32",
            bytes.len()
        )));
    }
    bytes.chunks_exact(HASH_BYTES).map(read_hash).collect()
}

/// The first four bytes, little-endian. The caller has cut the slice to size.
pub fn read_u32(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}
