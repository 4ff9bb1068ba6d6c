use xet_core_structures::xorb_object::constants::{MAX_CHUNK_SIZE, TARGET_CHUNK_SIZE};
use xetkit_codec::chunker::StreamChunker;
use xetkit_codec::hash::chunk_hash;
use xetkit_codec::records::read_records;

use crate::support::{
    SplitMix64, VECTORS, byte_list, chunk_whole, ends_of, list, number, numbers, random_megabyte,
    text,
};

/// The protocol's rule, read literally: hash every byte from the start of the chunk, cut after a match.
fn naive_ends(data: &[u8]) -> Vec<u64> {
    let table: Vec<u64> = list(&VECTORS["gearTable_hex_u64"])
        .iter()
        .map(|word| u64::from_str_radix(text(word), 16).unwrap())
        .collect();
    let params = &VECTORS["chunkParams"];
    let (min, max) = (number(&params["min"]), number(&params["max"]));
    let mask = u64::from_str_radix(text(&params["mask"]), 16).unwrap();

    let (mut ends, mut start, mut hash) = (Vec::new(), 0, 0u64);
    for (index, &byte) in data.iter().enumerate() {
        hash = (hash << 1).wrapping_add(table[byte as usize]);
        let end = index as u64 + 1;
        let length = end - start;
        if (length >= min && hash & mask == 0) || length == max {
            ends.push(end);
            (start, hash) = (end, 0);
        }
    }
    if start < data.len() as u64 {
        ends.push(data.len() as u64);
    }
    ends
}

fn chunk_in_steps(data: &[u8], step: usize) -> Vec<u8> {
    let mut chunker = StreamChunker::default();
    let mut records = Vec::new();
    for (index, block) in data.chunks(step).enumerate() {
        records.extend(chunker.push(block.to_vec(), (index + 1) * step >= data.len()));
    }
    records
}

fn trigger_data(padding: usize) -> Vec<u8> {
    let mut unit = byte_list(&VECTORS["chunking"]["trigger"]["pattern"]);
    unit.resize(unit.len() + padding, 0);
    unit.iter().copied().cycle().take(65_536).collect()
}

#[test]
fn constants() {
    let params = &VECTORS["chunkParams"];
    assert_eq!(*TARGET_CHUNK_SIZE as u64, number(&params["target"]));
    assert_eq!(*MAX_CHUNK_SIZE as u64, number(&params["max"]));
}

#[test]
fn random_megabyte_of_seed_0() {
    let data = random_megabyte();
    assert_eq!(
        (data[0], data[127], data[111_111]),
        (175, 132, 118),
        "the generator itself"
    );
    let expected = numbers(&VECTORS["chunking"]["random1MB_seed0"]);
    assert_eq!(ends_of(&chunk_whole(&data)), expected);
    assert_eq!(naive_ends(&data), expected);
}

#[test]
fn constant_megabyte() {
    let expected = numbers(&VECTORS["chunking"]["const59_1MB"]);
    assert_eq!(ends_of(&chunk_whole(&[59; 1_000_000])), expected);
    assert_eq!(naive_ends(&[59; 1_000_000]), expected);
}

#[test]
fn patterns_that_cut_around_the_minimum() {
    let trigger = &VECTORS["chunking"]["trigger"];
    let samples = trigger["sampleAt11111"].as_object().unwrap();
    assert_eq!(samples.len(), 128);
    for (padding, sample) in samples {
        let data = trigger_data(padding.parse().unwrap());
        assert_eq!(
            u64::from(data[11_111]),
            number(sample),
            "padding {padding}: the input itself"
        );
        let expected = numbers(&trigger["boundaries"][padding]);
        assert_eq!(ends_of(&chunk_whole(&data)), expected, "padding {padding}");
        assert_eq!(naive_ends(&data), expected, "padding {padding}, naive");
    }
}

#[test]
fn records_hold_the_hash_of_each_chunk() {
    let data = random_megabyte();
    let mut start = 0;
    for (hash, length) in read_records(&chunk_whole(&data)).unwrap() {
        let end = start + length as usize;
        assert_eq!(hash, chunk_hash(&data[start..end]));
        start = end;
    }
    assert_eq!(start, data.len());
}

#[test]
fn splits_do_not_matter() {
    let data = random_megabyte();
    let whole = chunk_whole(&data);
    // Around 8127 the chunker stops skipping and starts hashing, at 8192 and 131072 it may and must cut.
    for step in [
        1, 2, 37, 64, 255, 8126, 8127, 8128, 8191, 8192, 8193, 131_071, 131_072, 131_073, 999_999,
    ] {
        assert_eq!(chunk_in_steps(&data, step), whole, "blocks of {step} bytes");
    }
    // Where chunks are as short as they get, every padding meets the skip at another phase.
    for padding in (0..128).step_by(9) {
        let data = trigger_data(padding);
        let whole = chunk_whole(&data);
        for step in [1, 37, 255] {
            assert_eq!(
                chunk_in_steps(&data, step),
                whole,
                "padding {padding}, blocks of {step} bytes"
            );
        }
    }
}

#[test]
fn random_splits_do_not_matter() {
    let mut random = SplitMix64(7);
    for round in 0..40 {
        let length = random.below(400_000);
        let mut data = random.bytes(length);
        // Long constant runs reach the forced cut, which random bytes seldom do.
        let (a, b) = (random.below(length + 1), random.below(length + 1));
        data[a.min(b)..a.max(b)].fill(round);
        let mut chunker = StreamChunker::default();
        let (mut records, mut rest) = (Vec::new(), &data[..]);
        while !rest.is_empty() {
            let step = 1 + random.below(40_000).min(rest.len() - 1);
            records.extend(chunker.push(rest[..step].to_vec(), false));
            rest = &rest[step..];
        }
        records.extend(chunker.push(Vec::new(), true));
        assert_eq!(records, chunk_whole(&data), "round {round}");
        assert_eq!(ends_of(&records), naive_ends(&data), "round {round}, naive");
    }
}

#[test]
fn streams_without_bytes_have_no_chunks() {
    assert!(chunk_whole(&[]).is_empty());
    let mut chunker = StreamChunker::default();
    assert!(chunker.push(Vec::new(), false).is_empty());
    assert!(chunker.push(Vec::new(), true).is_empty());
}

#[test]
fn the_rest_of_a_stream_is_a_chunk_of_any_size() {
    for length in [1, 2, 63, 64, 65, 8191, 8192, 8193, 131_072] {
        assert_eq!(ends_of(&chunk_whole(&vec![0; length])), [length as u64]);
    }
    assert_eq!(ends_of(&chunk_whole(&vec![0; 131_073])), [131_072, 131_073]);
}
