use gearhash::{DEFAULT_TABLE, Hasher};

/// Numbers that look random and are the same each time (xorshift64).
fn noise(mut state: u64) -> impl FnMut() -> u64 {
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}

/// One byte after the other, as the protocol has it.
fn plain_match(hash: &mut u64, data: &[u8], mask: u64) -> Option<usize> {
    data.iter()
        .position(|&byte| {
            *hash = (*hash << 1).wrapping_add(DEFAULT_TABLE[usize::from(byte)]);
            *hash & mask == 0
        })
        .map(|index| index + 1)
}

/// Two stretches at a time find what one byte at a time does, wherever a search begins and ends.
#[test]
fn finds_what_one_byte_at_a_time_finds() {
    let mut next = noise(0x9e37_79b9_7f4a_7c15);
    // From a match in most bytes to one in many stretches.
    for bits in [1, 4, 8, 11, 13, 16] {
        let mask = u64::MAX << (64 - bits);
        let data: Vec<u8> = (0..200_000).map(|_| next() as u8).collect();
        for _ in 0..40 {
            let (mut ours, mut plain) = (Hasher::default(), 0);
            let mut at = (next() % 10_000) as usize;
            while at < data.len() {
                let end = data.len().min(at + (next() % 30_000) as usize);
                let found = ours.next_match(&data[at..end], mask);
                assert_eq!(found, plain_match(&mut plain, &data[at..end], mask), "{bits} bits, {at}..{end}");
                assert_eq!(ours.get_hash(), plain);
                at = found.map_or(end, |taken| at + taken).max(at + 1);
                if next() % 4 == 0 {
                    ours.set_hash(0);
                    plain = 0;
                }
            }
        }
    }
}
