use bytes::Bytes;
use xet_data::deduplication::Chunker;

use crate::records::push_record;

/// Cuts a stream into content-defined chunks and hashes each. The result does not depend on how the stream
/// was split into pushes.
#[derive(Default)]
pub struct StreamChunker {
    chunker: Chunker,
}

impl StreamChunker {
    /// The records of the chunks that this block completes. The last push of a stream says so.
    pub fn push(&mut self, block: Vec<u8>, last: bool) -> Vec<u8> {
        let block = Bytes::from(block);
        let mut chunks = self.chunker.next_block_bytes(&block, last);
        if last {
            chunks.extend(self.chunker.finish());
        }
        let mut records = Vec::with_capacity(chunks.len() * crate::records::RECORD_BYTES);
        for chunk in chunks {
            push_record(&mut records, &chunk.hash, chunk.data.len() as u32);
        }
        records
    }
}
