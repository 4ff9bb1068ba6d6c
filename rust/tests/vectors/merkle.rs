use xetkit_codec::CodecError;
use xetkit_codec::hash::file_hash;
use xetkit_codec::merkle::PartialFileHash;
use xetkit_codec::records::{RECORD_BYTES, push_record};

use crate::support::{SplitMix64, VECTORS, hash, list, records_if_they_fit, records_of};

/// The file hash by way of runs that end at the given chunk indices.
fn in_runs(records: &[u8], cuts: &[usize]) -> Vec<u8> {
    let count = records.len() / RECORD_BYTES;
    let mut bounds = vec![0];
    bounds.extend_from_slice(cuts);
    bounds.push(count);
    let last = bounds.len() - 2;
    let mut runs = bounds.windows(2).enumerate().map(|(index, pair)| {
        let part = &records[pair[0] * RECORD_BYTES..pair[1] * RECORD_BYTES];
        PartialFileHash::new(part, index == 0, index == last).unwrap()
    });
    let mut whole = runs.next().unwrap();
    for run in runs {
        whole.append(&run).unwrap();
    }
    whole.file_hash().unwrap().as_bytes().to_vec()
}

fn at_once(records: &[u8]) -> Vec<u8> {
    file_hash(records, &[0; 32]).unwrap().as_bytes().to_vec()
}

fn random_cuts(random: &mut SplitMix64, count: usize, runs: usize) -> Vec<usize> {
    let mut cuts: Vec<usize> = (1..runs).map(|_| random.below(count + 1)).collect();
    cuts.sort_unstable();
    cuts
}

/// `cut_odds` in 4: how often a hash ends a group, from never to always.
fn random_records(random: &mut SplitMix64, count: usize, cut_odds: usize) -> Vec<u8> {
    let mut records = Vec::new();
    for _ in 0..count {
        let mut hash = random.hash();
        let ends_group = random.below(4) < cut_odds;
        hash[3] = if ends_group {
            hash[3] & !3
        } else {
            hash[3] | 1
        };
        push_record(&mut records, &hash, random.below(131_073) as u32);
    }
    records
}

#[test]
fn the_lists_of_the_vectors_in_runs() {
    let mut random = SplitMix64(11);
    for (index, case) in list(&VECTORS["aggregatedHash"]).iter().enumerate() {
        let Some(records) = records_if_they_fit(&case["chunks"]) else {
            continue;
        };
        let expected = hash(&case["fileHashBySalt"][0][1]);
        let count = records.len() / RECORD_BYTES;
        for cut in 0..=count {
            assert_eq!(
                in_runs(&records, &[cut]),
                expected.as_bytes(),
                "list {index}, cut at {cut}"
            );
        }
        for runs in 1..=8 {
            let cuts = random_cuts(&mut random, count, runs);
            assert_eq!(
                in_runs(&records, &cuts),
                expected.as_bytes(),
                "list {index}, cuts {cuts:?}"
            );
        }
    }
}

#[test]
fn the_reference_file_in_runs() {
    let file = &VECTORS["referenceDataset"];
    let records = records_of(&file["chunkList"]);
    let expected = hash(&file["fileHash"]);
    let one_by_one: Vec<usize> = (1..796).collect();
    assert_eq!(in_runs(&records, &one_by_one), expected.as_bytes());
    for cut in (0..=796).step_by(53) {
        assert_eq!(
            in_runs(&records, &[cut]),
            expected.as_bytes(),
            "cut at {cut}"
        );
    }
}

#[test]
fn random_lists_in_random_runs() {
    let mut random = SplitMix64(13);
    for round in 0..3000 {
        let count = random.below(if round % 10 == 0 { 1200 } else { 60 });
        let records = random_records(&mut random, count, round % 5);
        let runs = 1 + random.below(9);
        let cuts = random_cuts(&mut random, count, runs);
        assert_eq!(
            in_runs(&records, &cuts),
            at_once(&records),
            "round {round}: {count} chunks, cuts {cuts:?}"
        );
    }
}

#[test]
fn runs_without_chunks() {
    let mut random = SplitMix64(17);
    assert_eq!(in_runs(&[], &[]), [0; 32]);
    assert_eq!(in_runs(&[], &[0, 0]), [0; 32]);
    for count in [1, 2, 9, 10, 100] {
        let records = random_records(&mut random, count, 1);
        let expected = at_once(&records);
        assert_eq!(in_runs(&records, &[]), expected);
        assert_eq!(
            in_runs(&records, &[0, 0, count, count]),
            expected,
            "{count} chunks between empty runs"
        );
    }
}

#[test]
fn a_hash_needs_both_ends() {
    let records = random_records(&mut SplitMix64(19), 20, 1);
    for (at_start, at_end) in [(true, false), (false, true), (false, false)] {
        let run = PartialFileHash::new(&records, at_start, at_end).unwrap();
        assert!(matches!(run.file_hash(), Err(CodecError::Argument(_))));
    }
}

#[test]
fn nothing_goes_before_the_start_or_after_the_end() {
    let records = random_records(&mut SplitMix64(23), 20, 1);
    let run = |at_start, at_end| PartialFileHash::new(&records, at_start, at_end).unwrap();
    assert!(matches!(
        run(true, true).append(&run(false, true)),
        Err(CodecError::Argument(_))
    ));
    assert!(matches!(
        run(true, false).append(&run(true, true)),
        Err(CodecError::Argument(_))
    ));
    assert!(matches!(
        PartialFileHash::new(&records[1..], true, true),
        Err(CodecError::Argument(_))
    ));

    // A refused run leaves the hash as it was.
    let mut whole = run(true, true);
    let before = whole.file_hash().unwrap();
    assert!(whole.append(&run(false, true)).is_err());
    assert_eq!(whole.file_hash().unwrap(), before);
}
