use sha2::block_api::compress256;

use crate::error::{CodecError, Result};

pub const STATE_BYTES: usize = 32;
const BLOCK_BYTES: usize = 64;

/// SHA-256 over whole blocks, from the state that came out of the ones before. A state is its eight words, big-endian,
/// so that of the last block is the digest. The caller keeps what is not a whole block yet, and does the padding: like
/// this no worker has to remember a stream.
pub fn blocks(state: &[u8], data: &[u8]) -> Result<[u8; STATE_BYTES]> {
    let before: &[u8; STATE_BYTES] = state
        .try_into()
        .map_err(|_| CodecError::argument(format!("a state has {} bytes, not 32", state.len())))?;
    let (whole, rest) = data.as_chunks::<BLOCK_BYTES>();
    if !rest.is_empty() {
        return Err(CodecError::argument(format!(
            "{} bytes are no whole blocks of 64",
            data.len()
        )));
    }
    let mut words = [0u32; STATE_BYTES / 4];
    for (word, bytes) in words.iter_mut().zip(before.as_chunks::<4>().0) {
        *word = u32::from_be_bytes(*bytes);
    }
    compress256(&mut words, whole);
    let mut after = [0; STATE_BYTES];
    for (bytes, word) in after.as_chunks_mut::<4>().0.iter_mut().zip(words) {
        *bytes = word.to_be_bytes();
    }
    Ok(after)
}
