use std::io::Write;
use std::slice::from_ref;

use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
use xet_core_structures::xorb_object::byte_grouping::bg4::{bg4_regroup, bg4_split};
use xet_core_structures::xorb_object::deserialize_chunks;
use xetkit_codec::decode::RunDecoder;
use xetkit_codec::hash::{chunk_hash, xorb_hash};
use xetkit_codec::records::push_record;
use xetkit_codec::{CodecError, xorb};

use crate::support::{SplitMix64, VECTORS, byte_list, list, number};

const NONE: u8 = 0;
const LZ4: u8 = 1;
const BG4_LZ4: u8 = 2;
const AUTO: u8 = 99;
const MAX_CHUNK: usize = 131_072;
const SCHEMES: [&str; 4] = ["none", "lz4", "bg4-lz4", "auto"];

/// A frame whose header says what it is told to say.
fn frame(scheme: u8, unpacked: usize, payload: &[u8]) -> Vec<u8> {
    let mut out = header(scheme, unpacked, payload.len());
    out.extend_from_slice(payload);
    out
}

fn header(scheme: u8, unpacked: usize, packed: usize) -> Vec<u8> {
    let (packed, unpacked) = (packed.to_le_bytes(), unpacked.to_le_bytes());
    vec![
        0,
        packed[0],
        packed[1],
        packed[2],
        scheme,
        unpacked[0],
        unpacked[1],
        unpacked[2],
    ]
}

fn lz4(data: &[u8]) -> Vec<u8> {
    lz4_as(FrameInfo::new(), data)
}

fn lz4_as(info: FrameInfo, data: &[u8]) -> Vec<u8> {
    let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// Bytes that LZ4 can make something of, without being all alike.
fn wordy(random: &mut SplitMix64, length: usize) -> Vec<u8> {
    let mut out = Vec::new();
    while out.len() < length {
        write!(out, "row {};", random.below(500)).unwrap();
    }
    out.truncate(length);
    out
}

fn records_for(chunks: &[Vec<u8>]) -> Vec<u8> {
    let mut records = Vec::new();
    for chunk in chunks {
        push_record(&mut records, &chunk_hash(chunk), chunk.len() as u32);
    }
    records
}

fn decoded(frames: &[u8]) -> Vec<u8> {
    let mut decoder = RunDecoder::default();
    decoder.decode(frames).unwrap();
    decoder.output().to_vec()
}

fn refused(frames: &[u8]) -> CodecError {
    RunDecoder::default().decode(frames).unwrap_err()
}

fn check_round_trip(chunks: &[Vec<u8>], file_starts: &[u32], scheme: &str) -> Vec<u8> {
    let (data, records) = (chunks.concat(), records_for(chunks));
    let packed = xorb::serialize(&data.clone().into(), &records, file_starts, scheme).unwrap();
    assert_eq!(packed.hash, xorb_hash(&records).unwrap());
    let mut decoder = RunDecoder::default();
    decoder.decode(&packed.body).unwrap();
    assert!(decoder.output() == data, "{scheme}: other bytes");
    assert_eq!(decoder.records(), records, "{scheme}: other records");
    let (by_xet_core, _) = deserialize_chunks(&mut &packed.body[..]).unwrap();
    assert!(by_xet_core == data, "{scheme}: xet-core reads other bytes");
    packed.body
}

#[test]
fn round_trips_of_every_length_mod_4() {
    let mut random = SplitMix64(29);
    let lengths = (0..10)
        .chain(61..69)
        .chain(8190..8195)
        .chain(MAX_CHUNK - 4..=MAX_CHUNK);
    for length in lengths {
        let sparse: Vec<u8> = (0..length)
            .map(|index| if index % 4 == 0 { index as u8 } else { 0 })
            .collect();
        for data in [
            random.bytes(length),
            wordy(&mut random, length),
            vec![59; length],
            sparse,
        ] {
            for scheme in SCHEMES {
                check_round_trip(from_ref(&data), &[0], scheme);
            }
        }
    }
}

#[test]
fn round_trips_of_many_chunks_and_files() {
    let mut random = SplitMix64(31);
    for round in 0..12 {
        let chunks: Vec<Vec<u8>> = (0..1 + random.below(90))
            .map(|_| {
                let length = random.below(3000);
                if random.below(2) == 0 {
                    random.bytes(length)
                } else {
                    wordy(&mut random, length)
                }
            })
            .collect();
        let mut starts: Vec<u32> = (0..random.below(6))
            .map(|_| random.below(chunks.len()) as u32)
            .collect();
        starts.push(0);
        starts.sort_unstable();
        starts.dedup();
        for scheme in SCHEMES {
            check_round_trip(&chunks, &starts, scheme);
        }
        assert!(!chunks.is_empty(), "round {round}");
    }
}

/// Four-byte numbers: their first bytes vary, their last do not, which is what grouping is for.
fn numbers_like_table(count: u32) -> Vec<u8> {
    (0..count)
        .flat_map(|index| (index * 7).to_le_bytes())
        .collect()
}

#[test]
fn schemes_on_the_wire() {
    let mut random = SplitMix64(37);
    let text = wordy(&mut random, 5000);
    assert_eq!(check_round_trip(from_ref(&text), &[0], "lz4")[4], LZ4);
    assert_eq!(
        check_round_trip(from_ref(&text), &[0], "bg4-lz4")[4],
        BG4_LZ4
    );
    assert_eq!(check_round_trip(&[text], &[0], "none")[4], NONE);
    // What does not shrink is stored as it is.
    let noise = random.bytes(5000);
    for scheme in SCHEMES {
        let body = check_round_trip(from_ref(&noise), &[0], scheme);
        assert_eq!((body[4], body.len()), (NONE, 5008), "{scheme}");
    }
    // 'auto' looks at the first chunk of a file, once for 32 chunks.
    let table = numbers_like_table(1000);
    let chunks: Vec<Vec<u8>> = (0..70)
        .map(|index| {
            if index < 20 {
                table.clone()
            } else {
                vec![b'a'; 4000]
            }
        })
        .collect();
    let schemes_of = |body: &[u8]| {
        let (mut found, mut at) = (Vec::new(), 0);
        while at < body.len() {
            found.push(body[at + 4]);
            at += 8 + u32::from_le_bytes([body[at + 1], body[at + 2], body[at + 3], 0]) as usize;
        }
        found
    };
    let one_file = schemes_of(&check_round_trip(&chunks, &[0], "auto"));
    assert_eq!(one_file, [[BG4_LZ4; 32].as_slice(), &[LZ4; 38]].concat());
    let two_files = schemes_of(&check_round_trip(&chunks, &[0, 20], "auto"));
    assert_eq!(two_files, [[BG4_LZ4; 20].as_slice(), &[LZ4; 50]].concat());
}

#[test]
fn byte_grouping() {
    for case in list(&VECTORS["hashVectors"]["byteGroup4"]) {
        let data: Vec<u8> = (0..number(&case[0]) as u8).collect();
        let grouped = byte_list(&case[1]);
        assert_eq!(bg4_split(&data), grouped);
        assert_eq!(bg4_regroup(&grouped), data);
        assert_eq!(decoded(&frame(BG4_LZ4, data.len(), &lz4(&grouped))), data);
    }
}

#[test]
fn runs_of_many_frames_and_of_none() {
    assert!(decoded(&[]).is_empty());
    let mut run = frame(NONE, 3, b"abc");
    run.extend(frame(LZ4, 1000, &lz4(&[b'd'; 1000])));
    run.extend(frame(NONE, 0, b""));
    run.extend(frame(BG4_LZ4, 6, &lz4(b"eieffi")));
    let mut decoder = RunDecoder::default();
    decoder.decode(&run).unwrap();
    let chunks = [
        b"abc".to_vec(),
        vec![b'd'; 1000],
        Vec::new(),
        bg4_regroup(b"eieffi"),
    ];
    assert_eq!(decoder.output(), chunks.concat());
    assert_eq!(decoder.records(), records_for(&chunks));
}

/// Other clients may write any LZ4 frame, not only the kind that xet-core writes.
#[test]
fn foreign_lz4_frames() {
    let mut random = SplitMix64(41);
    for length in [1, 100, 65_535, 65_536, 65_537, MAX_CHUNK] {
        for data in [
            wordy(&mut random, length),
            random.bytes(length),
            vec![7; length],
        ] {
            for mode in [BlockMode::Independent, BlockMode::Linked] {
                for size in [
                    BlockSize::Max64KB,
                    BlockSize::Max256KB,
                    BlockSize::Max1MB,
                    BlockSize::Max4MB,
                ] {
                    for (block_sums, content_sum) in
                        [(false, false), (true, false), (false, true), (true, true)]
                    {
                        for content_size in [None, Some(length as u64)] {
                            let info = FrameInfo::new()
                                .block_mode(mode)
                                .block_size(size)
                                .block_checksums(block_sums)
                                .content_checksum(content_sum)
                                .content_size(content_size);
                            let packed = lz4_as(info.clone(), &data);
                            assert!(
                                decoded(&frame(LZ4, length, &packed)) == data,
                                "{length} bytes as {info:?}"
                            );
                            let grouped = lz4_as(info.clone(), &bg4_split(&data));
                            assert!(
                                decoded(&frame(BG4_LZ4, length, &grouped)) == data,
                                "{length} bytes as {info:?}"
                            );
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn checksums_of_foreign_frames_are_checked() {
    let data = wordy(&mut SplitMix64(43), 3000);
    let content = lz4_as(FrameInfo::new().content_checksum(true), &data);
    let block = lz4_as(FrameInfo::new().block_checksums(true), &data);
    // A content checksum ends the frame; a block checksum stands before the end mark.
    for (mut packed, from_end) in [(content, 1), (block, 5)] {
        let at = packed.len() - from_end;
        packed[at] ^= 1;
        assert!(matches!(
            refused(&frame(LZ4, 3000, &packed)),
            CodecError::Malformed(_)
        ));
    }
}

#[test]
fn bad_headers() {
    let good = frame(NONE, 3, b"abc");
    let changed = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        bytes
    };
    for version in [1, 2, 0x58, 255] {
        assert!(
            matches!(refused(&changed(0, version)), CodecError::Malformed(_)),
            "version {version}"
        );
    }
    for scheme in 3..=255 {
        assert!(
            matches!(refused(&changed(4, scheme)), CodecError::Malformed(_)),
            "scheme {scheme}"
        );
    }
    assert!(matches!(
        refused(&frame(AUTO, 3, b"abc")),
        CodecError::Malformed(_)
    ));
    for unpacked in [MAX_CHUNK + 1, 0xFF_FFFF] {
        assert!(
            matches!(
                refused(&frame(LZ4, unpacked, &lz4(b"abc"))),
                CodecError::Malformed(_)
            ),
            "{unpacked} unpacked"
        );
    }
    for packed in [2 * MAX_CHUNK + 1, 0xFF_FFFF] {
        let mut bytes = header(LZ4, 3, packed);
        bytes.resize(8 + packed, 0);
        assert!(
            matches!(refused(&bytes), CodecError::Malformed(_)),
            "{packed} packed"
        );
    }
    // The footer of a whole xorb is no frame.
    assert!(matches!(
        refused(b"XETBLOB\x01 and more"),
        CodecError::Malformed(_)
    ));
}

#[test]
fn lengths_that_do_not_agree() {
    let data = wordy(&mut SplitMix64(47), 2000);
    let packed = lz4(&data);
    let grouped = lz4(&bg4_split(&data));
    for announced in [0, 1, 1999, 2001, 4000, MAX_CHUNK] {
        for bytes in [
            frame(LZ4, announced, &packed),
            frame(BG4_LZ4, announced, &grouped),
            frame(NONE, announced, &data),
        ] {
            assert!(
                matches!(refused(&bytes), CodecError::Malformed(_)),
                "{announced} announced, scheme {}",
                bytes[4]
            );
        }
    }
    // A few packed bytes that unpack to far more than a chunk may hold.
    let bomb = lz4(&vec![0; 16 << 20]);
    assert!(bomb.len() <= 2 * MAX_CHUNK);
    for announced in [1, MAX_CHUNK] {
        assert!(matches!(
            refused(&frame(LZ4, announced, &bomb)),
            CodecError::Malformed(_)
        ));
        assert!(matches!(
            refused(&frame(BG4_LZ4, announced, &bomb)),
            CodecError::Malformed(_)
        ));
    }
}

fn small_run() -> Vec<u8> {
    let text = wordy(&mut SplitMix64(53), 300);
    let mut run = frame(NONE, 40, &text[..40]);
    run.extend(frame(LZ4, 300, &lz4(&text)));
    run.extend(frame(BG4_LZ4, 300, &lz4(&bg4_split(&text))));
    run
}

#[test]
fn runs_that_end_early() {
    let run = small_run();
    let first = 48;
    let second = first + 8 + u32::from_le_bytes([run[49], run[50], run[51], 0]) as usize;
    for length in 0..run.len() {
        let result = RunDecoder::default().decode(&run[..length]);
        if [0, first, second].contains(&length) {
            assert!(result.is_ok(), "{length} bytes are whole frames");
        } else {
            assert!(
                matches!(result, Err(CodecError::Truncated(_))),
                "{length} bytes"
            );
        }
    }
}

/// The frame header agrees that the payload is short; only the LZ4 frame inside knows better.
#[test]
fn payloads_that_end_early() {
    let data = wordy(&mut SplitMix64(59), 300);
    for (scheme, plain) in [(LZ4, data.clone()), (BG4_LZ4, bg4_split(&data))] {
        let packed = lz4(&plain);
        for length in 0..packed.len() {
            let result =
                RunDecoder::default().decode(&frame(scheme, data.len(), &packed[..length]));
            // Only the end mark, four zeros that say nothing about the content, may be short.
            assert_eq!(
                result.is_ok(),
                length >= packed.len() - 4,
                "scheme {scheme}, {length} bytes"
            );
        }
    }
}

#[test]
fn garbage_as_lz4() {
    let mut random = SplitMix64(61);
    let magic = [0x04, 0x22, 0x4D, 0x18];
    for round in 0..20_000 {
        let length = random.below(64);
        let mut payload = random.bytes(length);
        // Half of them get past the first check.
        if round % 2 == 0 {
            payload.splice(0..0, magic);
        }
        let scheme = if round % 4 < 2 { LZ4 } else { BG4_LZ4 };
        let announced = 1 + random.below(MAX_CHUNK);
        assert!(
            RunDecoder::default()
                .decode(&frame(scheme, announced, &payload))
                .is_err(),
            "round {round}"
        );
    }
}

#[test]
fn a_flipped_bit_never_passes_as_the_same_chunk() {
    let good = small_run();
    let mut decoder = RunDecoder::default();
    decoder.decode(&good).unwrap();
    let (output, records) = (decoder.output().to_vec(), decoder.records().to_vec());
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        match decoder.decode(&bad) {
            Ok(()) if decoder.records() == records => {
                assert_eq!(decoder.output(), output, "bit {bit}")
            }
            Ok(()) => assert_eq!(
                decoder.output().len() as u64,
                total(decoder.records()),
                "bit {bit}"
            ),
            Err(CodecError::Argument(text)) => panic!("bit {bit} blamed on the caller: {text}"),
            Err(_) => {}
        }
    }
    // Nothing of the damaged runs is left over.
    decoder.decode(&good).unwrap();
    assert_eq!(
        (decoder.output(), decoder.records()),
        (&output[..], &records[..])
    );
}

fn total(records: &[u8]) -> u64 {
    xetkit_codec::records::read_records(records)
        .unwrap()
        .iter()
        .map(|(_, length)| length)
        .sum()
}

/// Linked blocks reach back into what was unpacked before, the part of LZ4 where damage could do most.
#[test]
fn damaged_linked_blocks_are_survived() {
    let mut random = SplitMix64(67);
    let data = wordy(&mut random, MAX_CHUNK);
    let info = FrameInfo::new()
        .block_mode(BlockMode::Linked)
        .block_size(BlockSize::Max64KB);
    let packed = lz4_as(info, &data);
    let mut decoder = RunDecoder::default();
    for _ in 0..400 {
        let mut bad = packed.clone();
        for _ in 0..1 + random.below(4) {
            let at = random.below(bad.len());
            bad[at] = random.next() as u8;
        }
        if decoder.decode(&frame(LZ4, data.len(), &bad)).is_ok() {
            assert_eq!(decoder.output().len(), data.len());
        }
    }
}

#[test]
fn random_bytes_as_frames() {
    let mut random = SplitMix64(71);
    let mut decoder = RunDecoder::default();
    for round in 0..20_000 {
        let length = random.below(200);
        let mut bytes = random.bytes(length);
        // A version of 0 and a known scheme, so that most go on to the lengths and the payload.
        if round % 4 != 0 && bytes.len() > 8 {
            bytes[..8].copy_from_slice(&header(
                (round % 3) as u8,
                random.below(300),
                random.below(200),
            ));
        }
        match decoder.decode(&bytes) {
            Ok(()) => assert_eq!(decoder.output().len() as u64, total(decoder.records())),
            Err(error) => assert!(
                !matches!(error, CodecError::Argument(_)),
                "round {round}: {error}"
            ),
        }
    }
}

#[test]
fn errors_name_the_frame() {
    let mut run = frame(NONE, 3, b"abc");
    run.extend(frame(NONE, 4, b"abc"));
    assert!(refused(&run).to_string().contains("frame 1"));
}

#[test]
fn xorbs_that_cannot_be() {
    let one = records_for(&[b"abc".to_vec()]);
    let is_argument = |data: &[u8], records: &[u8], starts: &[u32], scheme: &str| {
        matches!(
            xorb::serialize(&data.to_vec().into(), records, starts, scheme),
            Err(CodecError::Argument(_))
        )
    };
    assert!(is_argument(b"", &[], &[0], "none"), "no chunks");
    assert!(is_argument(b"ab", &one, &[0], "none"), "too few bytes");
    assert!(is_argument(b"abcd", &one, &[0], "none"), "too many bytes");
    assert!(
        is_argument(b"abc", &one[1..], &[0], "none"),
        "a record cut short"
    );
    assert!(is_argument(b"abc", &one, &[], "none"), "no file");
    assert!(is_argument(b"abc", &one, &[1], "none"), "no file at 0");
    assert!(is_argument(b"abc", &one, &[0, 0], "none"), "a file twice");
    assert!(
        is_argument(b"abc", &one, &[0, 1], "none"),
        "a file after the end"
    );
    assert!(is_argument(b"abc", &one, &[0], "zstd"), "an unknown scheme");
    let large = vec![0; MAX_CHUNK + 1];
    assert!(
        is_argument(&large, &records_for(from_ref(&large)), &[0], "lz4"),
        "a chunk that is too large"
    );
    assert!(
        is_argument(&[], &records_for(&vec![Vec::new(); 8193]), &[0], "none"),
        "too many chunks"
    );
    let full = records_for(&vec![vec![0; MAX_CHUNK]; 513]);
    assert!(
        is_argument(&vec![0; 513 * MAX_CHUNK], &full, &[0], "none"),
        "too many bytes for a xorb"
    );
    let mut lying = Vec::new();
    for _ in 0..3 {
        push_record(&mut lying, &chunk_hash(b""), u32::MAX);
    }
    assert!(
        is_argument(b"abc", &lying, &[0], "none"),
        "lengths that overflow"
    );
}
