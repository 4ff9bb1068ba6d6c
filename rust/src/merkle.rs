use xet_core_structures::merklehash::{MerkleHash, MerkleHashSubtree};

use crate::error::{CodecError, Result};
use crate::records::read_records;

/// A run of a file's chunks, hashed as far as it can be without its neighbours: runs made apart, on other
/// workers or at other times, merge left to right into the hash of the whole file.
pub struct PartialFileHash {
    empty: bool,
    subtree: MerkleHashSubtree,
}

impl PartialFileHash {
    pub fn new(records: &[u8], at_start: bool, at_end: bool) -> Result<Self> {
        let records = read_records(records)?;
        Ok(Self {
            empty: records.is_empty(),
            subtree: MerkleHashSubtree::from_chunks(at_start, &records, at_end),
        })
    }

    /// Takes in the run that follows this one.
    pub fn append(&mut self, next: &Self) -> Result<()> {
        self.subtree.merge_into(&next.subtree).map_err(|_| {
            CodecError::argument("this run ends the file, or the one appended starts it")
        })?;
        self.empty &= next.empty;
        Ok(())
    }

    /// The file hash (all-zero salt), once both ends of the file are in.
    pub fn file_hash(&self) -> Result<MerkleHash> {
        let aggregated = self.subtree.final_hash().ok_or_else(|| {
            CodecError::argument("the first or the last run of the file is missing")
        })?;
        // Only the empty file goes unsalted.
        Ok(if self.empty {
            aggregated
        } else {
            aggregated.hmac(MerkleHash::default())
        })
    }
}
