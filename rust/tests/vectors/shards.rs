use std::io::Cursor;

use xet_core_structures::merklehash::MerkleHash;
use xet_core_structures::metadata_shard::MDBShardInfo;
use xet_core_structures::metadata_shard::streaming_shard::MDBMinimalShard;
use xetkit_codec::CodecError;
use xetkit_codec::hash::verification_hash;
use xetkit_codec::records::{push_record, read_hash, read_records};
use xetkit_codec::shard::{ShardBuilder, ShardSections, read};

use crate::support::{
    SplitMix64, VECTORS, hash, hashes_of, list, number, plain_hex, records_of, text,
};

const RECORD: usize = 48;
const HEADER: usize = 48;

fn term(xorb: &MerkleHash, unpacked: u32, start: u32, end: u32) -> Vec<u8> {
    let mut bytes = xorb.as_bytes().to_vec();
    for number in [unpacked, start, end] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes
}

/// What was put into a shard, in the order in which it must come out.
struct Sample {
    files: Vec<SampleFile>,
    xorbs: Vec<(MerkleHash, Vec<u8>, u32)>,
}

struct SampleFile {
    hash: MerkleHash,
    terms: Vec<(MerkleHash, u32, u32, u32)>,
    verification: Vec<u8>,
    sha256: Vec<u8>,
}

impl Sample {
    fn random(seed: u64, files: usize, xorbs: usize, verified: bool) -> Self {
        let mut random = SplitMix64(seed);
        let mut sample = Self {
            files: Vec::new(),
            xorbs: Vec::new(),
        };
        for _ in 0..xorbs {
            let mut records = Vec::new();
            for _ in 0..1 + random.below(9) {
                push_record(
                    &mut records,
                    &random.hash(),
                    1 + random.below(131_072) as u32,
                );
            }
            sample
                .xorbs
                .push((random.hash(), records, random.next() as u32));
        }
        for index in 0..files {
            let terms: Vec<_> = (0..1 + random.below(6))
                .map(|_| {
                    let start = random.below(8000) as u32;
                    (
                        random.hash(),
                        random.next() as u32,
                        start,
                        start + 1 + random.below(192) as u32,
                    )
                })
                .collect();
            let verification = if verified {
                random.bytes(terms.len() * 32)
            } else {
                Vec::new()
            };
            let sha256 = if index % 2 == 0 {
                random.bytes(32)
            } else {
                Vec::new()
            };
            sample.files.push(SampleFile {
                hash: random.hash(),
                terms,
                verification,
                sha256,
            });
        }
        sample.files.sort_by_key(|file| file.hash);
        sample.xorbs.sort_by_key(|(hash, ..)| *hash);
        sample
    }

    /// Backwards, to see that the order of the calls does not matter.
    fn builder(&self) -> ShardBuilder {
        let mut builder = ShardBuilder::default();
        for file in self.files.iter().rev() {
            let terms: Vec<u8> = file
                .terms
                .iter()
                .flat_map(|(xorb, unpacked, start, end)| term(xorb, *unpacked, *start, *end))
                .collect();
            builder
                .add_file(
                    file.hash.as_bytes(),
                    &terms,
                    &file.verification,
                    &file.sha256,
                )
                .unwrap();
        }
        for (hash, records, on_disk) in self.xorbs.iter().rev() {
            builder
                .add_xorb(hash.as_bytes(), records, *on_disk)
                .unwrap();
        }
        builder
    }

    /// The two sections as the format describes them, without their bookends.
    fn sections(&self) -> (Vec<u8>, Vec<u8>) {
        let (mut files, mut xorbs) = (Vec::new(), Vec::new());
        let words = |out: &mut Vec<u8>, words: [u32; 4]| {
            words.iter().for_each(|word| out.extend(word.to_le_bytes()))
        };
        for file in &self.files {
            let flags = if file.verification.is_empty() {
                0
            } else {
                1 << 31
            } | u32::from(!file.sha256.is_empty()) << 30;
            files.extend(file.hash.as_bytes());
            words(&mut files, [flags, file.terms.len() as u32, 0, 0]);
            for (xorb, unpacked, start, end) in &file.terms {
                files.extend(xorb.as_bytes());
                words(&mut files, [0, *unpacked, *start, *end]);
            }
            for hash in file.verification.chunks(32) {
                files.extend(hash);
                words(&mut files, [0; 4]);
            }
            if !file.sha256.is_empty() {
                files.extend(file.sha256.chunks(8).flat_map(|word| word.iter().rev()));
                words(&mut files, [0; 4]);
            }
        }
        for (hash, records, on_disk) in &self.xorbs {
            let chunks = read_records(records).unwrap();
            let total = chunks.iter().map(|(_, length)| *length as u32).sum();
            xorbs.extend(hash.as_bytes());
            words(&mut xorbs, [0, chunks.len() as u32, total, *on_disk]);
            let mut start = 0;
            for (hash, length) in chunks {
                xorbs.extend(hash.as_bytes());
                words(&mut xorbs, [start, length as u32, 0, 0]);
                start += length as u32;
            }
        }
        (files, xorbs)
    }
}

fn cut<'a>(shard: &'a [u8], sections: &ShardSections) -> (&'a [u8], &'a [u8]) {
    let of = |range: &std::ops::Range<u32>| &shard[range.start as usize..range.end as usize];
    (of(&sections.files), of(&sections.xorbs))
}

fn samples() -> impl Iterator<Item = Sample> {
    let shapes = [(0, 0), (1, 0), (0, 1), (1, 1), (3, 2), (7, 12)];
    shapes
        .into_iter()
        .zip(100..)
        .flat_map(|((files, xorbs), seed)| {
            [true, false].map(|verified| Sample::random(seed, files, xorbs, verified))
        })
}

#[test]
fn what_goes_in_comes_out() {
    for sample in samples() {
        let builder = sample.builder();
        let (files, xorbs) = sample.sections();
        for shard in [builder.to_upload().unwrap(), builder.to_store().unwrap()] {
            let sections = read(&shard).unwrap();
            assert_eq!(cut(&shard, &sections), (&files[..], &xorbs[..]));
            assert_eq!(sections.key, None);
        }
    }
}

#[test]
fn upload_form_ends_after_the_xorb_section() {
    for sample in samples() {
        let shard = sample.builder().to_upload().unwrap();
        let (files, xorbs) = sample.sections();
        assert_eq!(
            shard.len(),
            HEADER + files.len() + RECORD + xorbs.len() + RECORD
        );
        assert_eq!(shard[HEADER - 8..HEADER], [0; 8], "no footer is announced");
        assert_eq!(
            shard[shard.len() - RECORD..][..32],
            [0xFF; 32],
            "the last record is a bookend"
        );
    }
}

#[test]
fn xet_core_reads_the_upload_form() {
    for sample in samples() {
        let shard = sample.builder().to_upload().unwrap();
        let mut reader = Cursor::new(&shard);
        let parsed = MDBMinimalShard::from_reader(&mut reader, true, true).unwrap();
        assert_eq!(reader.position() as usize, shard.len());
        assert_eq!(
            (parsed.num_files(), parsed.num_xorb()),
            (sample.files.len(), sample.xorbs.len())
        );
        for (index, file) in sample.files.iter().enumerate() {
            let view = parsed.file(index).unwrap();
            assert_eq!(
                (view.file_hash(), view.num_entries()),
                (file.hash, file.terms.len())
            );
            assert_eq!(view.contains_verification(), !file.verification.is_empty());
            for (at, (xorb, unpacked, start, end)) in file.terms.iter().enumerate() {
                let entry = view.entry(at);
                assert_eq!(
                    (entry.xorb_hash, entry.unpacked_segment_bytes),
                    (*xorb, *unpacked)
                );
                assert_eq!(
                    (entry.chunk_index_start, entry.chunk_index_end),
                    (*start, *end)
                );
                if !file.verification.is_empty() {
                    assert_eq!(
                        view.verification(at).range_hash.as_bytes(),
                        &file.verification[at * 32..][..32]
                    );
                }
            }
            let sha256 = view
                .metadata_ext()
                .map(|extra| plain_hex(&extra.sha256.hex()));
            assert_eq!(
                sha256.unwrap_or_default(),
                file.sha256,
                "xet-core shows the digest as its usual hex"
            );
        }
        for (index, (hash, records, on_disk)) in sample.xorbs.iter().enumerate() {
            let view = parsed.xorb(index).unwrap();
            assert_eq!(
                (view.xorb_hash(), view.header().num_bytes_on_disk),
                (*hash, *on_disk)
            );
            let mut start = 0;
            for (at, (hash, length)) in read_records(records).unwrap().into_iter().enumerate() {
                let chunk = view.chunk(at);
                assert_eq!(
                    (chunk.chunk_hash, u64::from(chunk.unpacked_segment_bytes)),
                    (hash, length)
                );
                assert_eq!(u64::from(chunk.chunk_byte_range_start), start);
                start += length;
            }
        }
    }
}

#[test]
fn xet_core_finds_everything_in_the_store_form() {
    for sample in samples() {
        let mut reader = Cursor::new(sample.builder().to_store().unwrap());
        let info = MDBShardInfo::load_from_reader(&mut reader).unwrap();
        assert_eq!(info.num_bytes(), reader.get_ref().len() as u64);
        assert_eq!(
            (info.num_file_entries(), info.num_xorb_entries()),
            (sample.files.len(), sample.xorbs.len())
        );
        for file in &sample.files {
            let found = info
                .get_file_reconstruction_info(&mut reader, &file.hash)
                .unwrap()
                .unwrap();
            assert_eq!(found.segments.len(), file.terms.len());
            assert_eq!(found.verification.len(), file.verification.len() / 32);
        }
        assert_eq!(
            info.get_file_reconstruction_info(&mut reader, &MerkleHash::default())
                .unwrap(),
            None
        );
        for (xorb, records, _) in &sample.xorbs {
            let hashes: Vec<MerkleHash> = read_records(records)
                .unwrap()
                .into_iter()
                .map(|(hash, _)| hash)
                .collect();
            for start in 0..hashes.len() {
                let (count, entry) = info
                    .chunk_hash_dedup_query(&mut reader, &hashes[start..])
                    .unwrap()
                    .unwrap();
                assert_eq!((count, entry.xorb_hash), (hashes.len() - start, *xorb));
                assert_eq!(entry.chunk_index_start as usize, start);
            }
        }
        assert_eq!(
            info.read_all_xorb_blocks_full(&mut reader).unwrap().len(),
            sample.xorbs.len()
        );
        assert_eq!(
            info.read_all_file_info_sections(&mut reader).unwrap().len(),
            sample.files.len()
        );
    }
}

#[test]
fn keyed_form_shows_keyed_hashes_only() {
    let key = SplitMix64(73).hash();
    for sample in samples() {
        let shard = sample
            .builder()
            .to_keyed(key.as_bytes(), 1_700_000_000, 1_900_000_000)
            .unwrap();
        let sections = read(&shard).unwrap();
        assert_eq!(
            (sections.key, sections.key_expiry_seconds),
            (Some(key), 1_900_000_000)
        );
        assert!(
            sections.files.is_empty(),
            "files are nobody else's business"
        );

        let (_, mut expected) = sample.sections();
        let mut at = 0;
        for (_, records, _) in &sample.xorbs {
            at += RECORD;
            for (hash, _) in read_records(records).unwrap() {
                expected[at..at + 32].copy_from_slice(hash.hmac(key).as_bytes());
                // The server marks the chunks it offers: those whose plain hash is a multiple of 1024.
                if hash % 1024 == 0 {
                    expected[at + 43] |= 0x80;
                }
                at += RECORD;
            }
        }
        assert_eq!(cut(&shard, &sections).1, expected);

        let mut reader = Cursor::new(&shard);
        let info = MDBShardInfo::load_from_reader(&mut reader).unwrap();
        assert_eq!(info.chunk_hmac_key(), Some(key));
        assert_eq!(info.metadata.shard_creation_timestamp, 1_700_000_000);
        for (xorb, records, _) in &sample.xorbs {
            let plain: Vec<MerkleHash> = read_records(records)
                .unwrap()
                .into_iter()
                .map(|(hash, _)| hash)
                .collect();
            for start in 0..plain.len() {
                // xet-core keys the query itself, so it asks with plain hashes.
                let (count, entry) = info
                    .chunk_hash_dedup_query(&mut reader, &plain[start..])
                    .unwrap()
                    .unwrap();
                assert_eq!((count, entry.xorb_hash), (plain.len() - start, *xorb));
                assert_eq!(entry.chunk_index_start as usize, start);
            }
            let keyed: Vec<MerkleHash> = plain.iter().map(|hash| hash.hmac(key)).collect();
            assert_eq!(
                info.chunk_hash_dedup_query(&mut reader, &keyed).unwrap(),
                None
            );
        }
    }
}

#[test]
fn keyed_form_marks_chunks_by_their_plain_hash() {
    let mut eligible = SplitMix64(79).hash();
    eligible[3] &= !1023;
    let mut records = Vec::new();
    push_record(&mut records, &eligible, 10);
    let mut other = eligible;
    other[3] |= 1;
    push_record(&mut records, &other, 10);
    let mut builder = ShardBuilder::default();
    builder.add_xorb(&[1; 32], &records, 0).unwrap();
    let shard = builder.to_keyed(&[9; 32], 0, u64::MAX).unwrap();
    let sections = read(&shard).unwrap();
    let xorbs = cut(&shard, &sections).1;
    let flags = |chunk: usize| {
        u32::from_le_bytes(xorbs[(1 + chunk) * RECORD + 40..][..4].try_into().unwrap())
    };
    assert_eq!((flags(0), flags(1)), (1 << 31, 0));
    assert_eq!(sections.key_expiry_seconds, u64::MAX);
    // An upload says nothing about it: the server decides.
    let upload = builder.to_upload().unwrap();
    assert!(cut(&upload, &read(&upload).unwrap()).1[RECORD + 40..][..4] == [0; 4]);
}

#[test]
fn the_reference_file_as_a_shard() {
    let file = &VECTORS["referenceDataset"];
    let records = records_of(&file["chunkList"]);
    let count = number(&file["chunks"]) as u32;
    let size = number(&file["size"]) as u32;
    let proof = verification_hash(&hashes_of(&records)).unwrap();
    let sha256 = plain_hex(text(&file["sha256"]));
    let mut builder = ShardBuilder::default();
    let terms = term(&hash(&file["xorbHash"]), size, 0, count);
    builder
        .add_file(
            hash(&file["fileHash"]).as_bytes(),
            &terms,
            proof.as_bytes(),
            &sha256,
        )
        .unwrap();
    builder
        .add_xorb(hash(&file["xorbHash"]).as_bytes(), &records, 0)
        .unwrap();

    let upload = builder.to_upload().unwrap();
    // Header, file, term, proof; then the digest, whose groups of eight are reversed.
    let stored = &upload[HEADER + 3 * RECORD..][..32];
    assert_eq!(
        stored[..8],
        [0x12, 0x76, 0xF7, 0x52, 0xB2, 0x55, 0x12, 0xF4]
    );
    let view = MDBMinimalShard::from_reader(&mut Cursor::new(&upload), true, true).unwrap();
    assert_eq!(
        view.file(0).unwrap().verification(0).range_hash,
        hash(&file["rangeHash"])
    );
    assert_eq!(
        view.file(0).unwrap().metadata_ext().unwrap().sha256.hex(),
        text(&file["sha256"])
    );

    let key = hash(&file["dedupeKey"]);
    let keyed = builder.to_keyed(key.as_bytes(), 0, 1).unwrap();
    let xorbs = cut(&keyed, &read(&keyed).unwrap()).1.to_vec();
    for (index, expected) in list(&file["dedupeKeyedFirstChunks"]).iter().enumerate() {
        assert_eq!(
            read_hash(&xorbs[(index + 1) * RECORD..][..32]).unwrap(),
            hash(expected)
        );
    }
}

#[test]
fn an_empty_file_has_no_terms() {
    let mut builder = ShardBuilder::default();
    builder.add_file(&[0; 32], &[], &[], &[]).unwrap();
    builder
        .add_file(
            &[1; 32],
            &term(&MerkleHash::default(), 1, 0, 1),
            &[2; 32],
            &[],
        )
        .unwrap();
    let upload = builder.to_upload().unwrap();
    assert_eq!(read(&upload).unwrap().files.len(), 4 * RECORD);
    let parsed = MDBMinimalShard::from_reader(&mut Cursor::new(&upload), true, true).unwrap();
    assert!(parsed.has_file_verification());
    assert_eq!(parsed.file(0).unwrap().num_entries(), 0);
}

#[test]
fn what_a_shard_cannot_hold() {
    let mut builder = ShardBuilder::default();
    let terms = term(&MerkleHash::default(), 1, 0, 1);
    let mut file = |hash: &[u8], terms: &[u8], verification: &[u8], sha256: &[u8]| {
        matches!(
            builder.add_file(hash, terms, verification, sha256),
            Err(CodecError::Argument(_))
        )
    };
    assert!(file(&[0; 31], &terms, &[], &[]), "a short hash");
    assert!(file(&[0; 32], &terms[1..], &[], &[]), "a short term");
    assert!(file(&[0; 32], &terms, &[0; 33], &[]), "a hash and a byte");
    assert!(
        file(&[0; 32], &terms, &[0; 64], &[]),
        "two proofs for one term"
    );
    assert!(
        file(&[0; 32], &terms, &[], &[0; 20]),
        "a digest of 20 bytes"
    );
    let mut large = Vec::new();
    push_record(&mut large, &MerkleHash::default(), u32::MAX);
    push_record(&mut large, &MerkleHash::default(), 1);
    assert!(
        matches!(
            builder.add_xorb(&[0; 32], &large, 0),
            Err(CodecError::Argument(_))
        ),
        "4 GiB"
    );
    assert!(
        matches!(
            builder.add_xorb(&[0; 33], &[], 0),
            Err(CodecError::Argument(_))
        ),
        "a long hash"
    );
    assert!(
        matches!(
            builder.add_xorb(&[0; 32], &[0; 37], 0),
            Err(CodecError::Argument(_))
        ),
        "a record and a byte"
    );
    assert!(
        matches!(
            builder.to_keyed(&[0; 16], 0, 0),
            Err(CodecError::Argument(_))
        ),
        "a short key"
    );
    // What was refused has left no trace.
    assert_eq!(
        builder.to_upload().unwrap(),
        ShardBuilder::default().to_upload().unwrap()
    );
}

#[test]
fn shards_that_end_early() {
    let sample = Sample::random(83, 2, 2, true);
    let builder = sample.builder();
    let upload = builder.to_upload().unwrap();
    let store = builder.to_store().unwrap();
    let keyed = builder.to_keyed(&[5; 32], 1, 2).unwrap();
    for whole in [&upload, &store, &keyed] {
        for length in 0..whole.len() {
            // A footer is looked for at the end: what is found there when bytes are missing is no footer.
            let result = read(&whole[..length]);
            assert!(
                matches!(
                    result,
                    Err(CodecError::Truncated(_) | CodecError::Malformed(_))
                ),
                "{length} of {} bytes",
                whole.len()
            );
        }
    }
}

#[test]
fn damaged_shards_are_survived() {
    let builder = Sample::random(89, 2, 2, true).builder();
    for whole in [
        builder.to_upload().unwrap(),
        builder.to_store().unwrap(),
        builder.to_keyed(&[5; 32], 1, 2).unwrap(),
    ] {
        for bit in 0..whole.len() * 8 {
            let mut bad = whole.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            match read(&bad) {
                Ok(sections) => check_bounds(&bad, &sections),
                Err(CodecError::Argument(text)) => panic!("bit {bit} blamed on the caller: {text}"),
                Err(_) => {}
            }
        }
    }
}

/// Whoever walks the sections relies on whole records and on counts that stay inside.
fn check_bounds(shard: &[u8], sections: &ShardSections) {
    let (files, xorbs) = cut(shard, sections);
    let count_at = |section: &[u8], at: usize, field: usize| {
        u32::from_le_bytes(section[at + field..][..4].try_into().unwrap()) as usize
    };
    let mut at = 0;
    while at < files.len() {
        let (flags, count) = (count_at(files, at, 32), count_at(files, at, 36));
        at += RECORD * (1 + count + if flags >> 31 == 1 { count } else { 0 } + (flags >> 30 & 1));
    }
    assert_eq!(at, files.len());
    at = 0;
    while at < xorbs.len() {
        at += RECORD * (1 + count_at(xorbs, at, 36));
    }
    assert_eq!(at, xorbs.len());
}

#[test]
fn counts_are_checked_before_memory_is_taken() {
    let builder = Sample::random(97, 1, 1, true).builder();
    let upload = builder.to_upload().unwrap();
    let xorb_header = read(&upload).unwrap().xorbs.start as usize;
    for header in [HEADER, xorb_header] {
        for count in [100, 0x7FFF_FFFF, 0x8000_0000, u32::MAX] {
            let mut bad = upload.clone();
            bad[header + 36..header + 40].copy_from_slice(&count.to_le_bytes());
            assert!(read(&bad).is_err(), "{count} entries at {header}");
        }
    }
}

#[test]
fn what_is_no_shard() {
    assert!(matches!(read(&[]), Err(CodecError::Truncated(_))));
    assert!(matches!(read(&[0; 500]), Err(CodecError::Malformed(_))));
    let mut random = SplitMix64(101);
    let upload = Sample::random(103, 1, 1, true)
        .builder()
        .to_upload()
        .unwrap();
    for round in 0..5000 {
        let length = random.below(600);
        let mut bytes = random.bytes(length);
        // Most get past the tag.
        if round % 4 != 0 && length >= HEADER {
            bytes[..HEADER].copy_from_slice(&upload[..HEADER]);
        }
        assert!(read(&bytes).is_err(), "round {round}");
    }
}

#[test]
fn proofs_are_for_all_files_or_for_none() {
    let terms = term(&MerkleHash::default(), 1, 0, 1);
    let mut builder = ShardBuilder::default();
    builder.add_file(&[1; 32], &terms, &[7; 32], &[]).unwrap();
    builder.add_file(&[2; 32], &terms, &[7; 32], &[]).unwrap();
    let mut shard = builder.to_upload().unwrap();
    assert!(read(&shard).is_ok());
    // The second file loses its proof: its flag and the record after its term.
    let second = HEADER + 3 * RECORD;
    shard[second + 35] &= 0x7F;
    shard.drain(second + 2 * RECORD..second + 3 * RECORD);
    assert!(matches!(read(&shard), Err(CodecError::Malformed(_))));
}
