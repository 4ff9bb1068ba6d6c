use xet_core_structures::merklehash::{self, MerkleHash};
use xetkit_codec::CodecError;
use xetkit_codec::hash::{chunk_hash, file_hash, keyed_hashes, verification_hash, xorb_hash};
use xetkit_codec::records::{push_record, read_hash, read_hashes, read_records};

use crate::support::{
    SplitMix64, VECTORS, byte_list, chunk_whole, hash, hashes_of, list, number, plain_hex,
    random_megabyte, records_if_they_fit, records_of, text,
};

#[test]
fn aggregated_hashes() {
    let cases = list(&VECTORS["aggregatedHash"]);
    assert_eq!(cases.len(), 18);
    let mut too_long = Vec::new();
    for (index, case) in cases.iter().enumerate() {
        let salted = list(&case["fileHashBySalt"]);
        assert_eq!(salted.len(), 3);
        if let Some(records) = records_if_they_fit(&case["chunks"]) {
            assert_eq!(
                xorb_hash(&records).unwrap(),
                hash(&case["xorbHash"]),
                "xorb hash of list {index}"
            );
            for pair in salted {
                let salt = hash(&pair[0]);
                assert_eq!(
                    file_hash(&records, salt.as_bytes()).unwrap(),
                    hash(&pair[1]),
                    "list {index}, salt {salt}"
                );
            }
        } else {
            // Chunks of 800 GB, to see that sums keep 64 bits. Only xet-core's own functions take them.
            let chunks: Vec<_> = list(&case["chunks"])
                .iter()
                .map(|pair| (hash(&pair[0]), number(&pair[1])))
                .collect();
            assert_eq!(
                merklehash::xorb_hash(&chunks),
                hash(&case["xorbHash"]),
                "xorb hash of list {index}"
            );
            for pair in salted {
                let salt = hash(&pair[0]).into();
                assert_eq!(
                    merklehash::file_hash_with_salt(&chunks, &salt),
                    hash(&pair[1]),
                    "list {index}"
                );
            }
            too_long.push(index);
        }
    }
    assert_eq!(too_long, [17]);
}

#[test]
fn one_value_of_each_hash_function() {
    let vectors = &VECTORS["hashVectors"];
    for case in list(&vectors["chunk"]) {
        let found = chunk_hash(text(&case["ascii"]).as_bytes());
        assert_eq!(found, hash(&case["xet"]));
        assert_eq!(found.as_bytes(), plain_hex(text(&case["raw"])));
    }

    // A list of two chunks makes exactly one internal node, which then is the xorb hash.
    let node = &vectors["internalNode"];
    assert_eq!(
        xorb_hash(&records_of(&node["children"])).unwrap(),
        hash(&node["xet"])
    );

    let range = &vectors["verificationRange"];
    let hashes: Vec<u8> = list(&range["chunks"])
        .iter()
        .flat_map(|chunk| hash(chunk).as_bytes().to_vec())
        .collect();
    assert_eq!(verification_hash(&hashes).unwrap(), hash(&range["xet"]));

    let empty = &vectors["emptyFile"];
    assert_eq!(file_hash(&[], &[0; 32]).unwrap(), hash(&empty["xetCore"]));
    assert_ne!(
        file_hash(&[], &[0; 32]).unwrap(),
        hash(&empty["draft03_WRONG"])
    );
}

#[test]
fn text_form_of_hashes() {
    for case in list(&VECTORS["hashVectors"]["hexString"]) {
        // The first case names its bytes by a pattern instead of a list.
        let raw = if case["rawBytes"].is_array() {
            byte_list(&case["rawBytes"])
        } else {
            (0..32).collect()
        };
        assert_eq!(read_hash(&raw).unwrap().hex(), text(&case["xet"]));
        assert_eq!(hash(&case["xet"]).as_bytes(), raw);
    }
}

/// Each function is BLAKE3 with a key of its own. Over one 32-byte input they all become `keyed_hashes`, which
/// shows the keys themselves. The key of internal nodes is left to their vector: their input is longer.
#[test]
fn keys() {
    let keys = &VECTORS["keys_hex"];
    let input = SplitMix64(1).bytes(32);
    let under = |name: &str| keyed_hashes(&input, &plain_hex(text(&keys[name]))).unwrap();
    assert_eq!(under("data"), chunk_hash(&input).as_bytes());
    assert_eq!(
        under("verification"),
        verification_hash(&input).unwrap().as_bytes()
    );
    let mut record = Vec::new();
    push_record(&mut record, &read_hash(&input).unwrap(), 7);
    assert_eq!(
        under("file"),
        file_hash(&record, &[0; 32]).unwrap().as_bytes()
    );
}

#[test]
fn derived_hashes() {
    let derived = &VECTORS["derived_by_us"];
    let salt = [0; 32];
    let hello = chunk_whole(b"Hello World!");
    assert_eq!(
        file_hash(&hello, &salt).unwrap(),
        hash(&derived["helloWorldFile"])
    );

    let records = chunk_whole(&random_megabyte());
    let expected = &derived["random1MBseed0"];
    assert_eq!(
        read_records(&records).unwrap()[0].0,
        hash(&expected["firstChunk"])
    );
    assert_eq!(xorb_hash(&records).unwrap(), hash(&expected["xorb"]));
    assert_eq!(file_hash(&records, &salt).unwrap(), hash(&expected["file"]));
    assert_eq!(
        verification_hash(&hashes_of(&records)).unwrap(),
        hash(&expected["verificationAll"])
    );

    let constant = chunk_whole(&[59; 1_000_000]);
    assert_eq!(
        file_hash(&constant, &salt).unwrap(),
        hash(&derived["const59_1MB_file"])
    );
}

/// The chunk list is taken as given: `sha256` and the chunk hashes need the dataset's 63 MB file.
#[test]
fn hashes_of_the_reference_file() {
    let file = &VECTORS["referenceDataset"];
    let records = records_of(&file["chunkList"]);
    let chunks = read_records(&records).unwrap();
    assert_eq!(chunks.len() as u64, number(&file["chunks"]));
    assert_eq!(
        chunks.iter().map(|(_, length)| length).sum::<u64>(),
        number(&file["size"])
    );
    assert_eq!(xorb_hash(&records).unwrap(), hash(&file["xorbHash"]));
    assert_eq!(
        file_hash(&records, &[0; 32]).unwrap(),
        hash(&file["fileHash"])
    );
    assert_eq!(
        verification_hash(&hashes_of(&records)).unwrap(),
        hash(&file["rangeHash"])
    );

    let keyed = keyed_hashes(&hashes_of(&records), hash(&file["dedupeKey"]).as_bytes()).unwrap();
    let expected: Vec<MerkleHash> = list(&file["dedupeKeyedFirstChunks"])
        .iter()
        .map(hash)
        .collect();
    assert_eq!(read_hashes(&keyed).unwrap()[..expected.len()], expected);
    assert_eq!(keyed.len(), chunks.len() * 32);
}

#[test]
fn empty_lists() {
    assert_eq!(xorb_hash(&[]).unwrap(), MerkleHash::default());
    assert_eq!(keyed_hashes(&[], &[1; 32]).unwrap(), Vec::<u8>::new());
    assert_ne!(
        verification_hash(&[]).unwrap(),
        MerkleHash::default(),
        "a keyed hash of no bytes is still a hash"
    );
}

#[test]
fn lists_of_the_wrong_size_are_the_callers_mistake() {
    for length in [1, 31, 35, 37, 71] {
        let bytes = vec![0; length];
        assert!(
            matches!(xorb_hash(&bytes), Err(CodecError::Argument(_))),
            "{length} bytes of records"
        );
        assert!(
            matches!(file_hash(&bytes, &[0; 32]), Err(CodecError::Argument(_))),
            "{length} bytes of records"
        );
        assert!(
            matches!(verification_hash(&bytes), Err(CodecError::Argument(_))),
            "{length} bytes of hashes"
        );
        assert!(
            matches!(keyed_hashes(&bytes, &[0; 32]), Err(CodecError::Argument(_))),
            "{length} bytes of hashes"
        );
        assert!(
            matches!(keyed_hashes(&[0; 32], &bytes), Err(CodecError::Argument(_))),
            "a key of {length} bytes"
        );
        assert!(
            matches!(file_hash(&[], &bytes), Err(CodecError::Argument(_))),
            "a salt of {length} bytes"
        );
    }
}
