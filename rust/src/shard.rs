//! Shards: xet-core reads and writes them; here they are checked, cut into sections and put together.

use std::io::Cursor;
use std::mem::size_of;

use xet_core_structures::merklehash::MerkleHash;
use xet_core_structures::metadata_shard::file_structs::{
    FileDataSequenceEntry, FileDataSequenceHeader, FileMetadataExt, FileVerificationEntry,
    MDBFileInfo,
};
use xet_core_structures::metadata_shard::shard_in_memory::MDBInMemoryShard;
use xet_core_structures::metadata_shard::streaming_shard::{
    process_shard_file_info_section, process_shard_xorb_info_section,
};
use xet_core_structures::metadata_shard::xorb_structs::{
    MDBXorbInfo, XorbChunkSequenceEntry, XorbChunkSequenceHeader,
};
use xet_core_structures::metadata_shard::{MDBShardFileFooter, MDBShardFileHeader};

use crate::error::{CodecError, Result};
use crate::hash::read_key;
use crate::records::{HASH_BYTES, read_hash, read_hashes, read_records, read_u32};

/// One term of a file, as the builder takes it: xorb hash, unpacked bytes, first chunk, chunk after the last.
pub const SEGMENT_BYTES: usize = HASH_BYTES + 12;
const FOOTER_BYTES: usize = size_of::<MDBShardFileFooter>();

/// Where the checked sections of a shard lie, in bytes from its start. Both hold 48-byte records and leave
/// out their bookends.
pub struct ShardSections {
    pub files: std::ops::Range<u32>,
    pub xorbs: std::ops::Range<u32>,
    /// From the footer, if the shard has one.
    pub key: Option<MerkleHash>,
    pub key_expiry_seconds: u64,
}

/// Checks a shard, counts against the bytes that are there, and says where its parts are.
pub fn read(shard: &[u8]) -> Result<ShardSections> {
    if shard.len() > u32::MAX as usize {
        return Err(CodecError::malformed("a shard of more than 4 GiB"));
    }
    let bookend = size_of::<FileDataSequenceHeader>() as u32;
    let mut reader = Cursor::new(shard);
    let header = MDBShardFileHeader::deserialize(&mut reader)?;
    let files_start = reader.position() as u32;
    let mut verified: Option<bool> = None;
    let mut mixed = false;
    let mut budget = Some((shard.len() - reader.position() as usize) as u64);
    budget = process_shard_file_info_section(
        &mut reader,
        |file| {
            let has = file.contains_verification();
            mixed |= verified.is_some_and(|before| before != has);
            verified = Some(has);
            Ok(())
        },
        budget,
    )?;
    if mixed {
        return Err(CodecError::malformed(
            "some files of the shard have verification entries and some have none",
        ));
    }
    let xorbs_start = reader.position() as u32;
    process_shard_xorb_info_section(&mut reader, |_| Ok(()), budget)?;
    let xorbs_end = reader.position() as u32;

    let (mut key, mut key_expiry_seconds) = (None, 0);
    if header.footer_size != 0 {
        let footer = read_footer(shard, xorbs_end as usize)?;
        key = (footer.chunk_hash_hmac_key != MerkleHash::default())
            .then_some(footer.chunk_hash_hmac_key);
        key_expiry_seconds = footer.shard_key_expiry;
    }
    Ok(ShardSections {
        files: files_start..xorbs_start - bookend,
        xorbs: xorbs_start..xorbs_end - bookend,
        key,
        key_expiry_seconds,
    })
}

fn read_footer(shard: &[u8], sections_end: usize) -> Result<MDBShardFileFooter> {
    let start = shard
        .len()
        .checked_sub(FOOTER_BYTES)
        .filter(|&start| start >= sections_end)
        .ok_or_else(|| CodecError::Truncated("the shard's footer is cut short".into()))?;
    Ok(MDBShardFileFooter::deserialize(&mut Cursor::new(
        &shard[start..],
    ))?)
}

/// Gathers files and xorbs and writes the shard in xet-core's own order.
#[derive(Default)]
pub struct ShardBuilder {
    shard: MDBInMemoryShard,
    /// Whether the files carry verification entries: all of them or none, says the format.
    verified: Option<bool>,
    /// Files without terms, which fit both; they are added at the end, marked as the others are.
    empty_files: Vec<MDBFileInfo>,
}

impl ShardBuilder {
    /// `segments` are 44-byte terms, `verification` one 32-byte hash for each of them or nothing, `sha256` the
    /// digest in its usual byte order or nothing.
    pub fn add_file(
        &mut self,
        file_hash: &[u8],
        segments: &[u8],
        verification: &[u8],
        sha256: &[u8],
    ) -> Result<()> {
        if !segments.len().is_multiple_of(SEGMENT_BYTES) {
            return Err(CodecError::argument(format!(
                "{} bytes of terms, which is no multiple of 44",
                segments.len()
            )));
        }
        let segments: Vec<_> = segments
            .chunks_exact(SEGMENT_BYTES)
            .map(read_segment)
            .collect::<Result<_>>()?;
        let verification: Vec<_> = read_hashes(verification)?
            .into_iter()
            .map(FileVerificationEntry::new)
            .collect();
        if !verification.is_empty() && verification.len() != segments.len() {
            return Err(CodecError::argument(format!(
                "{} verification entries for {} terms",
                verification.len(),
                segments.len()
            )));
        }
        // The format keeps the digest as a hash parsed from its hex text, which reverses each group of eight.
        let metadata_ext = match sha256 {
            [] => None,
            digest => Some(FileMetadataExt::new(MerkleHash::from_be_bytes(
                digest
                    .try_into()
                    .map_err(|_| CodecError::argument("a sha256 has 32 bytes"))?,
            ))),
        };
        let file_hash = read_hash(file_hash)?;
        let verified = !verification.is_empty();
        let metadata = FileDataSequenceHeader::new(
            file_hash,
            segments.len(),
            verified,
            metadata_ext.is_some(),
        );
        let info = MDBFileInfo {
            metadata,
            segments,
            verification,
            metadata_ext,
        };
        if info.segments.is_empty() {
            self.empty_files.push(info);
            return Ok(());
        }
        if self.verified.is_some_and(|others| others != verified) {
            return Err(CodecError::argument(
                "either all files of a shard have verification entries or none has",
            ));
        }
        self.verified = Some(verified);
        self.shard.add_file_reconstruction_info(info)?;
        Ok(())
    }

    fn complete(&self) -> Result<MDBInMemoryShard> {
        let mut shard = self.shard.clone();
        for file in &self.empty_files {
            let mut file = file.clone();
            let extended = file.metadata_ext.is_some();
            let verified = self.verified.unwrap_or(true);
            file.metadata =
                FileDataSequenceHeader::new(file.metadata.file_hash, 0, verified, extended);
            shard.add_file_reconstruction_info(file)?;
        }
        Ok(shard)
    }

    pub fn add_xorb(&mut self, xorb_hash: &[u8], records: &[u8], bytes_on_disk: u32) -> Result<()> {
        let mut start = 0u32;
        let mut chunks = Vec::new();
        for (hash, length) in read_records(records)? {
            let length = length as u32;
            chunks.push(XorbChunkSequenceEntry::new(hash, length, start));
            start = start
                .checked_add(length)
                .ok_or_else(|| CodecError::argument("a xorb of more than 4 GiB"))?;
        }
        let mut metadata =
            XorbChunkSequenceHeader::new(read_hash(xorb_hash)?, chunks.len() as u32, start);
        metadata.num_bytes_on_disk = bytes_on_disk;
        self.shard
            .add_xorb_block(MDBXorbInfo { metadata, chunks })?;
        Ok(())
    }

    /// The shard as it is uploaded: no lookup tables, no footer.
    pub fn to_upload(&self) -> Result<Vec<u8>> {
        let full = self.to_store()?;
        let footer = read_footer(&full, 0)?;
        let mut out = Vec::with_capacity(footer.file_lookup_offset as usize);
        MDBShardFileHeader {
            footer_size: 0,
            ..Default::default()
        }
        .serialize(&mut out)?;
        let sections = full
            .get(out.len()..footer.file_lookup_offset as usize)
            .ok_or_else(|| CodecError::malformed("the footer of a shard points outside of it"))?;
        out.extend_from_slice(sections);
        Ok(out)
    }

    /// The whole shard with lookup tables and a footer, for a store.
    pub fn to_store(&self) -> Result<Vec<u8>> {
        Ok(self.complete()?.to_bytes()?)
    }

    /// A shard that answers dedup queries: chunk hashes keyed, no files, valid until the given second.
    pub fn to_keyed(
        &self,
        key: &[u8],
        created_seconds: u64,
        expiry_seconds: u64,
    ) -> Result<Vec<u8>> {
        let key = read_key(key)?;
        let mut keyed = MDBInMemoryShard::default();
        for xorb in self.shard.xorb_content.values() {
            let mut xorb = MDBXorbInfo::clone(xorb);
            for chunk in &mut xorb.chunks {
                *chunk = chunk
                    .clone()
                    .with_global_dedup_flag(chunk.is_global_dedup_eligible());
                chunk.chunk_hash = chunk.chunk_hash.hmac(key);
            }
            keyed.add_xorb_block(xorb)?;
        }
        // Not written with this footer from the start: that is another instance of the whole writer in the module.
        let mut out = keyed.to_bytes()?;
        let mut footer = read_footer(&out, 0)?;
        footer.chunk_hash_hmac_key = key;
        footer.shard_creation_timestamp = created_seconds;
        footer.shard_key_expiry = expiry_seconds;
        out.truncate(out.len() - FOOTER_BYTES);
        footer.serialize(&mut out)?;
        Ok(out)
    }
}

fn read_segment(bytes: &[u8]) -> Result<FileDataSequenceEntry> {
    let numbers = &bytes[HASH_BYTES..];
    Ok(FileDataSequenceEntry::new(
        read_hash(&bytes[..HASH_BYTES])?,
        read_u32(numbers),
        read_u32(&numbers[4..]),
        read_u32(&numbers[8..]),
    ))
}
