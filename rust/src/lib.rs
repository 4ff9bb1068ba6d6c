//! xet-core for JavaScript: every function takes bytes and gives bytes.
//!
//! The modules are plain Rust over `xet-core-structures` and `xet-data`, tested natively; [`wasm`] is a
//! thin shell around them. Nothing here panics on bad input: a caller gets a [`CodecError`].

pub mod chunker;
pub mod crc64;
pub mod decode;
pub mod error;
pub mod hash;
pub mod merkle;
pub mod records;
pub mod sha256;
pub mod shard;
pub mod xorb;

#[cfg(target_arch = "wasm32")]
pub mod wasm;

pub use error::{CodecError, Result};
