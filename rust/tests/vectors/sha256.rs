use xetkit_codec::CodecError;
use xetkit_codec::sha256::blocks;

use crate::support::plain_hex;

/// What SHA-256 starts from (FIPS 180-4, 5.3.3).
const START: &str = "6a09e667bb67ae853c6ef372a54ff53a510e527f9b05688c1f83d9ab5be0cd19";

/// The data with the padding of FIPS 180-4, 5.1.1.
fn padded(data: &[u8]) -> Vec<u8> {
    let mut out = data.to_vec();
    out.push(0x80);
    out.resize(out.len().next_multiple_of(64), 0);
    if out.len() - data.len() < 9 {
        out.resize(out.len() + 64, 0);
    }
    let end = out.len() - 8;
    out[end..].copy_from_slice(&(data.len() as u64 * 8).to_be_bytes());
    out
}

fn start() -> Vec<u8> {
    plain_hex(START)
}

#[test]
fn digests_of_the_standard() {
    let million = vec![b'a'; 1_000_000];
    let cases: [(&[u8], &str); 4] = [
        (
            b"",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ),
        (
            b"abc",
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ),
        (
            b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
        ),
        (
            &million,
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
        ),
    ];
    for (data, digest) in cases {
        assert_eq!(
            blocks(&start(), &padded(data)).unwrap().to_vec(),
            plain_hex(digest)
        );
    }
}

#[test]
fn a_state_goes_on_where_it_was_left() {
    let data = padded(&vec![7; 10_000]);
    let whole = blocks(&start(), &data).unwrap();
    for cut in [0, 64, 640, data.len() - 64, data.len()] {
        let before = blocks(&start(), &data[..cut]).unwrap();
        assert_eq!(blocks(&before, &data[cut..]).unwrap(), whole);
    }
}

#[test]
fn half_blocks_and_other_states_are_the_callers_mistake() {
    for length in [1, 63, 65, 127] {
        assert!(matches!(
            blocks(&start(), &vec![0; length]),
            Err(CodecError::Argument(_))
        ));
    }
    for length in [0, 31, 33] {
        assert!(matches!(
            blocks(&vec![0; length], &[0; 64]),
            Err(CodecError::Argument(_))
        ));
    }
}
