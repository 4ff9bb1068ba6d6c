use std::sync::LazyLock;

use serde_json::Value;
use xet_core_structures::merklehash::MerkleHash;
use xetkit_codec::chunker::StreamChunker;
use xetkit_codec::records::{RECORD_BYTES, push_record, read_records};

pub static VECTORS: LazyLock<Value> = LazyLock::new(|| {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../test/vectors/vectors.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
});

pub fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

pub fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

pub fn numbers(value: &Value) -> Vec<u64> {
    list(value).iter().map(number).collect()
}

pub fn byte_list(value: &Value) -> Vec<u8> {
    list(value)
        .iter()
        .map(|byte| u8::try_from(number(byte)).unwrap())
        .collect()
}

/// A hash in text form.
pub fn hash(value: &Value) -> MerkleHash {
    MerkleHash::from_hex(text(value)).unwrap()
}

/// Ordinary hex, as keys and sha256 digests are written.
pub fn plain_hex(digits: &str) -> Vec<u8> {
    digits
        .as_bytes()
        .chunks_exact(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// The records of a list of `[hash, length]` pairs.
pub fn records_of(pairs: &Value) -> Vec<u8> {
    records_if_they_fit(pairs).unwrap()
}

/// `None` for lengths of more than 32 bits, which no chunk has but one of the vectors uses.
pub fn records_if_they_fit(pairs: &Value) -> Option<Vec<u8>> {
    let mut records = Vec::new();
    for pair in list(pairs) {
        push_record(
            &mut records,
            &hash(&pair[0]),
            u32::try_from(number(&pair[1])).ok()?,
        );
    }
    Some(records)
}

/// The raw hashes of a chunk list, back to back.
pub fn hashes_of(records: &[u8]) -> Vec<u8> {
    records
        .chunks_exact(RECORD_BYTES)
        .flat_map(|record| &record[..32])
        .copied()
        .collect()
}

pub fn ends_of(records: &[u8]) -> Vec<u64> {
    let mut end = 0;
    read_records(records)
        .unwrap()
        .into_iter()
        .map(|(_, length)| {
            end += length;
            end
        })
        .collect()
}

pub fn chunk_whole(data: &[u8]) -> Vec<u8> {
    StreamChunker::default().push(data.to_vec(), true)
}

/// The generator that the chunking vectors name; also the source of every "random" choice in these tests.
pub struct SplitMix64(pub u64);

impl SplitMix64 {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(count + 8);
        while out.len() < count {
            out.extend_from_slice(&self.next().to_le_bytes());
        }
        out.truncate(count);
        out
    }

    pub fn hash(&mut self) -> MerkleHash {
        MerkleHash::from_slice(&self.bytes(32)).unwrap()
    }
}

pub fn random_megabyte() -> Vec<u8> {
    SplitMix64(0).bytes(1_000_000)
}
