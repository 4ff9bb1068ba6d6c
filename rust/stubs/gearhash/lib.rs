//! The gear hash takes in one byte after the other, each step waiting for the one before. gearhash has instructions
//! for several of them at once on common processors, and none in WebAssembly. A hash depends on 64 bytes only, so two
//! stretches of the input can be searched side by side, one step of each at a time: what it finds is the same.

mod table;

pub use table::{DEFAULT_TABLE, Table};

/// Bytes that a hash depends on: what came before has been shifted out.
const WINDOW: usize = 64;
/// Bytes of each of the two stretches. What lies behind a match was searched for nothing.
const STRETCH: usize = 2048;

#[derive(Clone, Debug)]
pub struct Hasher<'t> {
    table: &'t Table,
    hash: u64,
}

impl Default for Hasher<'static> {
    fn default() -> Self {
        Self::new(&DEFAULT_TABLE)
    }
}

impl<'t> Hasher<'t> {
    pub fn new(table: &'t Table) -> Self {
        Self { table, hash: 0 }
    }

    pub fn set_hash(&mut self, hash: u64) {
        self.hash = hash;
    }

    pub fn get_hash(&self) -> u64 {
        self.hash
    }

    pub fn update(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.hash = step(self.table, self.hash, byte);
        }
    }

    /// How many bytes it takes until the hash has no bit in common with the mask.
    pub fn next_match(&mut self, bytes: &[u8], mask: u64) -> Option<usize> {
        let (pairs, rest) = bytes.as_chunks::<{ 2 * STRETCH }>();
        for (index, pair) in pairs.iter().enumerate() {
            if let Some(found) = self.match_in_pair(pair, mask) {
                return Some(index * 2 * STRETCH + found);
            }
        }
        let before = bytes.len() - rest.len();
        self.match_in_turn(rest, mask).map(|found| before + found)
    }

    fn match_in_turn(&mut self, bytes: &[u8], mask: u64) -> Option<usize> {
        for (index, &byte) in bytes.iter().enumerate() {
            self.hash = step(self.table, self.hash, byte);
            if self.hash & mask == 0 {
                return Some(index + 1);
            }
        }
        None
    }

    fn match_in_pair(&mut self, pair: &[u8; 2 * STRETCH], mask: u64) -> Option<usize> {
        let (first, second) = pair.split_at(STRETCH);
        let table = self.table;
        let mut ahead = Hasher { table, hash: 0 };
        ahead.update(&first[STRETCH - WINDOW..]);
        for (index, (&one, &other)) in first.iter().zip(second).enumerate() {
            self.hash = step(table, self.hash, one);
            ahead.hash = step(table, ahead.hash, other);
            if self.hash & mask == 0 {
                return Some(index + 1);
            }
            if ahead.hash & mask == 0 {
                // There may still be one before it.
                let before = self.match_in_turn(&first[index + 1..], mask);
                if let Some(found) = before {
                    return Some(index + 1 + found);
                }
                self.hash = ahead.hash;
                return Some(STRETCH + index + 1);
            }
        }
        self.hash = ahead.hash;
        None
    }
}

#[inline(always)]
fn step(table: &Table, hash: u64, byte: u8) -> u64 {
    (hash << 1).wrapping_add(table[usize::from(byte)])
}
