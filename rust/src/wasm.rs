//! The WebAssembly surface. Hot paths work in place: JavaScript writes into a buffer whose address it asked
//! for and reads results out of linear memory; everything else takes and gives byte arrays.

use bytes::Bytes;
use wasm_bindgen::prelude::*;
use xet_core_structures::merklehash::MerkleHash;

use crate::{CodecError, chunker, crc64, decode, hash, merkle, sha256, shard, xorb};

type JsResult<T> = Result<T, JsError>;

fn js(error: CodecError) -> JsError {
    JsError::new(&error.to_string())
}

fn raw(hash: MerkleHash) -> Vec<u8> {
    hash.as_bytes().to_vec()
}

/// Decodes runs of frames and makes them, in buffers that it keeps.
#[wasm_bindgen]
#[derive(Default)]
pub struct RunCodec {
    input: Vec<u8>,
    packed: Vec<u8>,
    decoder: decode::RunDecoder,
}

#[wasm_bindgen]
impl RunCodec {
    #[wasm_bindgen(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    /// The address of a buffer of this many bytes, good until the next call.
    pub fn input(&mut self, length: usize) -> *mut u8 {
        self.input.resize(length, 0);
        self.input.as_mut_ptr()
    }

    /// Decodes what was written into the input.
    pub fn decode(&mut self) -> JsResult<()> {
        self.decoder.decode(&self.input).map_err(js)
    }

    /// Packs the chunks that were written into the input; gives the hash of the xorb that they make.
    pub fn pack(&mut self, records: &[u8], file_starts: &[u32], scheme: &str) -> JsResult<Vec<u8>> {
        let data = Bytes::from(core::mem::take(&mut self.input));
        let xorb::SerializedXorb { hash, body } =
            xorb::serialize(&data, records, file_starts, scheme).map_err(js)?;
        self.input = data.into();
        self.packed = body;
        Ok(raw(hash))
    }

    #[wasm_bindgen(getter)]
    pub fn packed(&self) -> *const u8 {
        self.packed.as_ptr()
    }

    #[wasm_bindgen(getter, js_name = packedLength)]
    pub fn packed_length(&self) -> usize {
        self.packed.len()
    }

    #[wasm_bindgen(getter)]
    pub fn output(&self) -> *const u8 {
        self.decoder.output().as_ptr()
    }

    #[wasm_bindgen(getter, js_name = outputLength)]
    pub fn output_length(&self) -> usize {
        self.decoder.output().len()
    }

    #[wasm_bindgen(getter)]
    pub fn records(&self) -> *const u8 {
        self.decoder.records().as_ptr()
    }

    #[wasm_bindgen(getter, js_name = recordsLength)]
    pub fn records_length(&self) -> usize {
        self.decoder.records().len()
    }
}

#[wasm_bindgen]
#[derive(Default)]
pub struct Chunker {
    inner: chunker::StreamChunker,
}

#[wasm_bindgen]
impl Chunker {
    #[wasm_bindgen(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    pub fn push(&mut self, block: Vec<u8>, last: bool) -> Vec<u8> {
        self.inner.push(block, last)
    }
}

#[wasm_bindgen(js_name = chunkHash)]
pub fn chunk_hash(data: &[u8]) -> Vec<u8> {
    raw(hash::chunk_hash(data))
}

#[wasm_bindgen(js_name = xorbHash)]
pub fn xorb_hash(records: &[u8]) -> JsResult<Vec<u8>> {
    hash::xorb_hash(records).map(raw).map_err(js)
}

#[wasm_bindgen(js_name = fileHash)]
pub fn file_hash(records: &[u8], salt: &[u8]) -> JsResult<Vec<u8>> {
    hash::file_hash(records, salt).map(raw).map_err(js)
}

#[wasm_bindgen(js_name = verificationHash)]
pub fn verification_hash(hashes: &[u8]) -> JsResult<Vec<u8>> {
    hash::verification_hash(hashes).map(raw).map_err(js)
}

#[wasm_bindgen(js_name = keyedHashes)]
pub fn keyed_hashes(hashes: &[u8], key: &[u8]) -> JsResult<Vec<u8>> {
    hash::keyed_hashes(hashes, key).map_err(js)
}

/// CRC-64/NVME after some more bytes.
#[wasm_bindgen]
pub fn crc64(before: u64, data: &[u8]) -> u64 {
    crc64::append(before, data)
}

/// The state of SHA-256 after some more whole blocks.
#[wasm_bindgen(js_name = sha256Blocks)]
pub fn sha256_blocks(state: &[u8], data: &[u8]) -> JsResult<Vec<u8>> {
    sha256::blocks(state, data)
        .map(|after| after.to_vec())
        .map_err(js)
}

#[wasm_bindgen]
pub struct PartialFileHash {
    inner: merkle::PartialFileHash,
}

#[wasm_bindgen]
impl PartialFileHash {
    #[wasm_bindgen(constructor)]
    pub fn new(records: &[u8], at_start: bool, at_end: bool) -> JsResult<Self> {
        Ok(Self {
            inner: merkle::PartialFileHash::new(records, at_start, at_end).map_err(js)?,
        })
    }

    pub fn append(&mut self, next: &PartialFileHash) -> JsResult<()> {
        self.inner.append(&next.inner).map_err(js)
    }

    #[wasm_bindgen(js_name = fileHash)]
    pub fn file_hash(&self) -> JsResult<Vec<u8>> {
        self.inner.file_hash().map(raw).map_err(js)
    }
}

/// Section bounds of a checked shard, as `[filesStart, filesEnd, xorbsStart, xorbsEnd]`.
#[wasm_bindgen]
pub struct ShardSections {
    inner: shard::ShardSections,
}

#[wasm_bindgen]
impl ShardSections {
    #[wasm_bindgen(getter)]
    pub fn bounds(&self) -> Vec<u32> {
        let shard::ShardSections { files, xorbs, .. } = &self.inner;
        vec![files.start, files.end, xorbs.start, xorbs.end]
    }

    #[wasm_bindgen(getter)]
    pub fn key(&self) -> Option<Vec<u8>> {
        self.inner.key.map(raw)
    }

    #[wasm_bindgen(getter, js_name = keyExpirySeconds)]
    pub fn key_expiry_seconds(&self) -> f64 {
        self.inner.key_expiry_seconds as f64
    }
}

#[wasm_bindgen(js_name = readShard)]
pub fn read_shard(bytes: &[u8]) -> JsResult<ShardSections> {
    Ok(ShardSections {
        inner: shard::read(bytes).map_err(js)?,
    })
}

#[wasm_bindgen]
#[derive(Default)]
pub struct ShardBuilder {
    inner: shard::ShardBuilder,
}

#[wasm_bindgen]
impl ShardBuilder {
    #[wasm_bindgen(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    #[wasm_bindgen(js_name = addFile)]
    pub fn add_file(
        &mut self,
        hash: &[u8],
        segments: &[u8],
        verification: &[u8],
        sha256: &[u8],
    ) -> JsResult<()> {
        self.inner
            .add_file(hash, segments, verification, sha256)
            .map_err(js)
    }

    #[wasm_bindgen(js_name = addXorb)]
    pub fn add_xorb(&mut self, hash: &[u8], records: &[u8], bytes_on_disk: u32) -> JsResult<()> {
        self.inner
            .add_xorb(hash, records, bytes_on_disk)
            .map_err(js)
    }

    #[wasm_bindgen(js_name = toUpload)]
    pub fn to_upload(&self) -> JsResult<Vec<u8>> {
        self.inner.to_upload().map_err(js)
    }

    #[wasm_bindgen(js_name = toStore)]
    pub fn to_store(&self) -> JsResult<Vec<u8>> {
        self.inner.to_store().map_err(js)
    }

    #[wasm_bindgen(js_name = toKeyed)]
    pub fn to_keyed(
        &self,
        key: &[u8],
        created_seconds: f64,
        expiry_seconds: f64,
    ) -> JsResult<Vec<u8>> {
        self.inner
            .to_keyed(key, created_seconds as u64, expiry_seconds as u64)
            .map_err(js)
    }
}
