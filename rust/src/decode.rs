//! From a run of xorb frames to chunk bytes, with the hash of each chunk.

use std::io::Read;

use lz4_flex::frame::FrameDecoder;
use xet_core_structures::merklehash::compute_data_hash;
use xet_core_structures::xorb_object::byte_grouping::bg4::bg4_regroup;
use xet_core_structures::xorb_object::{
    CompressionScheme, XORB_CHUNK_HEADER_LENGTH, parse_chunk_header,
};

use crate::error::{CodecError, Result};
use crate::records::push_record;

/// Keeps its buffers from run to run, so that a steady stream of batches allocates nothing.
#[derive(Default)]
pub struct RunDecoder {
    output: Vec<u8>,
    records: Vec<u8>,
    grouped: Vec<u8>,
}

impl RunDecoder {
    /// Decodes whole frames; a frame that ends past `frames` is an error.
    ///
    /// The output never grows past what the headers announce (at most 128 KiB a chunk), whatever the
    /// compressed bytes would unpack to.
    pub fn decode(&mut self, frames: &[u8]) -> Result<()> {
        self.output.clear();
        self.records.clear();
        let mut rest = frames;
        while !rest.is_empty() {
            let index = self.records.len() / crate::records::RECORD_BYTES;
            let Some((header, body)) = rest.split_first_chunk::<XORB_CHUNK_HEADER_LENGTH>() else {
                return Err(CodecError::Truncated(format!(
                    "the header of frame {index} is cut short"
                )));
            };
            let header = parse_chunk_header(*header)?;
            let compressed = header.get_compressed_length() as usize;
            if compressed > body.len() {
                return Err(CodecError::Truncated(format!(
                    "frame {index} announces {compressed} bytes, {} are there",
                    body.len()
                )));
            }
            let (payload, after) = body.split_at(compressed);
            let start = self.output.len();
            let end = start + header.get_uncompressed_length() as usize;
            self.unpack(header.get_compression_scheme()?, payload, end)
                .map_err(|error| in_frame(index, error))?;
            push_record(
                &mut self.records,
                &compute_data_hash(&self.output[start..end]),
                (end - start) as u32,
            );
            rest = after;
        }
        Ok(())
    }

    pub fn output(&self) -> &[u8] {
        &self.output
    }

    pub fn records(&self) -> &[u8] {
        &self.records
    }

    /// Appends one chunk to the output, which must then be exactly `end` long.
    fn unpack(&mut self, scheme: CompressionScheme, payload: &[u8], end: usize) -> Result<()> {
        let start = self.output.len();
        match scheme {
            CompressionScheme::None if payload.len() == end - start => {
                self.output.extend_from_slice(payload)
            }
            CompressionScheme::None => return Err(wrong_length()),
            CompressionScheme::LZ4 => {
                self.output.resize(end, 0);
                inflate(payload, &mut self.output[start..end])?;
            }
            CompressionScheme::ByteGrouping4LZ4 => {
                self.grouped.resize(end - start, 0);
                inflate(payload, &mut self.grouped)?;
                self.output.extend_from_slice(&bg4_regroup(&self.grouped));
            }
            CompressionScheme::Auto => {
                return Err(CodecError::malformed(
                    "'auto' is no scheme of a stored chunk",
                ));
            }
        }
        Ok(())
    }
}

/// Fills `out` from one LZ4 frame, which must hold exactly that many bytes.
fn inflate(payload: &[u8], out: &mut [u8]) -> Result<()> {
    let mut decoder = FrameDecoder::new(payload);
    decoder
        .read_exact(out)
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => wrong_length(),
            _ => error.into(),
        })?;
    match decoder.read(&mut [0u8; 1])? {
        0 => Ok(()),
        _ => Err(wrong_length()),
    }
}

fn wrong_length() -> CodecError {
    CodecError::malformed("the unpacked length differs from the one in the frame header")
}

fn in_frame(index: usize, error: CodecError) -> CodecError {
    match error {
        CodecError::Malformed(text) => CodecError::Malformed(format!("frame {index}: {text}")),
        CodecError::Truncated(text) => CodecError::Truncated(format!("frame {index}: {text}")),
        other => other,
    }
}
