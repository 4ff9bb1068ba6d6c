use bytes::Bytes;
use xet_core_structures::merklehash::MerkleHash;
use xet_core_structures::xorb_object::constants::{
    MAX_CHUNK_SIZE, MAX_XORB_BYTES, MAX_XORB_CHUNKS,
};
use xet_core_structures::xorb_object::{
    Chunk, CompressionScheme, RawXorbData, SerializedXorbObject,
};

use crate::error::{CodecError, Result};
use crate::records::read_records;

/// Native clients look again for the better scheme after this many chunks.
const SCHEME_RETEST_CHUNKS: usize = 32;

pub struct SerializedXorb {
    pub hash: MerkleHash,
    pub body: Vec<u8>,
}

/// Packs chunks into the body of a xorb, without a footer, as clients upload it.
///
/// `data` is the chunks' bytes back to back, `records` their hashes and lengths, `file_starts` the ascending
/// chunk indices where another file begins (the first is 0): the compression scheme is chosen anew there.
pub fn serialize(
    data: &Bytes,
    records: &[u8],
    file_starts: &[u32],
    scheme: &str,
) -> Result<SerializedXorb> {
    let records = read_records(records)?;
    check_limits(&records, data.len(), file_starts)?;
    let scheme = read_scheme(scheme)?;
    let mut start = 0;
    let chunks: Vec<Chunk> = records
        .iter()
        .map(|&(hash, length)| {
            let end = start + length as usize;
            let chunk = Chunk {
                hash,
                data: data.slice(start..end),
            };
            start = end;
            chunk
        })
        .collect();
    let file_starts = file_starts.iter().map(|&index| index as usize).collect();
    let raw = RawXorbData::from_chunks(&chunks, file_starts);
    let packed =
        SerializedXorbObject::from_xorb_with_compression(raw, scheme, false, SCHEME_RETEST_CHUNKS)?;
    Ok(SerializedXorb {
        hash: packed.hash,
        body: packed.serialized_data,
    })
}

/// Unlike xet-core's own parser, no lower case is made of the name: that takes the tables of Unicode.
fn read_scheme(name: &str) -> Result<CompressionScheme> {
    match name {
        "auto" => Ok(CompressionScheme::Auto),
        "none" => Ok(CompressionScheme::None),
        "lz4" => Ok(CompressionScheme::LZ4),
        "bg4-lz4" => Ok(CompressionScheme::ByteGrouping4LZ4),
        _ => Err(CodecError::argument(format!("no scheme '{name}'"))),
    }
}

fn check_limits(
    records: &[(MerkleHash, u64)],
    data_bytes: usize,
    file_starts: &[u32],
) -> Result<()> {
    if records.is_empty() || records.len() > *MAX_XORB_CHUNKS {
        return Err(CodecError::argument(format!(
            "a xorb holds 1 to {} chunks, not {}",
            *MAX_XORB_CHUNKS,
            records.len()
        )));
    }
    if data_bytes > *MAX_XORB_BYTES {
        return Err(CodecError::argument(format!(
            "a xorb holds at most {} bytes, not {data_bytes}",
            *MAX_XORB_BYTES
        )));
    }
    if let Some((_, length)) = records
        .iter()
        .find(|(_, length)| *length as usize > *MAX_CHUNK_SIZE)
    {
        return Err(CodecError::argument(format!(
            "a chunk holds at most {} bytes, not {length}",
            *MAX_CHUNK_SIZE
        )));
    }
    let total: u64 = records.iter().map(|(_, length)| length).sum();
    if total != data_bytes as u64 {
        return Err(CodecError::argument(format!(
            "the chunks add up to {total} bytes, {data_bytes} were given"
        )));
    }
    let ascending = file_starts.windows(2).all(|pair| pair[0] < pair[1]);
    if file_starts.first() != Some(&0)
        || !ascending
        || file_starts
            .last()
            .is_some_and(|&last| last as usize >= records.len())
    {
        return Err(CodecError::argument(
            "file starts are ascending chunk indices that begin with 0",
        ));
    }
    Ok(())
}
