use xet_core_structures::merklehash::{
    MerkleHash, compute_data_hash, file_hash_with_salt, xorb_hash as core_xorb_hash,
};
use xet_core_structures::metadata_shard::chunk_verification::range_hash_from_chunks;

use crate::error::{CodecError, Result};
use crate::records::{HASH_BYTES, read_hash, read_hashes, read_records};

pub fn chunk_hash(data: &[u8]) -> MerkleHash {
    compute_data_hash(data)
}

pub fn xorb_hash(records: &[u8]) -> Result<MerkleHash> {
    Ok(core_xorb_hash(&read_records(records)?))
}

/// The hash of a file made of these chunks. The Hub uses the all-zero salt.
pub fn file_hash(records: &[u8], salt: &[u8]) -> Result<MerkleHash> {
    let salt: [u8; HASH_BYTES] = salt
        .try_into()
        .map_err(|_| CodecError::argument(format!("a salt has {} bytes, not 32", salt.len())))?;
    Ok(file_hash_with_salt(&read_records(records)?, &salt))
}

/// The proof that a shard carries for one term: the keyed hash over its chunk hashes, in order.
pub fn verification_hash(hashes: &[u8]) -> Result<MerkleHash> {
    Ok(range_hash_from_chunks(&read_hashes(hashes)?))
}

/// Each hash as a shard with this key shows it.
pub fn keyed_hashes(hashes: &[u8], key: &[u8]) -> Result<Vec<u8>> {
    let key = read_hash(key)?;
    let mut out = Vec::with_capacity(hashes.len());
    for hash in read_hashes(hashes)? {
        out.extend_from_slice(hash.hmac(key).as_bytes());
    }
    Ok(out)
}

/// The key of a keyed shard. One that says all zeros is not keyed, so that is none.
pub fn read_key(bytes: &[u8]) -> Result<MerkleHash> {
    match read_hash(bytes)? {
        key if key == MerkleHash::default() => {
            Err(CodecError::argument("32 zero bytes are no key"))
        }
        key => Ok(key),
    }
}
