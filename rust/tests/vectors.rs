//! What xet-core and other clients agree on, checked natively: the shared vectors of `test/vectors`, then the
//! binary formats, intact and damaged.

#[path = "vectors/chunking.rs"]
mod chunking;
#[path = "vectors/crc64.rs"]
mod crc64;
#[path = "vectors/frames.rs"]
mod frames;
#[path = "vectors/gear.rs"]
mod gear;
#[path = "vectors/hashes.rs"]
mod hashes;
#[path = "vectors/merkle.rs"]
mod merkle;
#[path = "vectors/sha256.rs"]
mod sha256;
#[path = "vectors/shards.rs"]
mod shards;
#[path = "vectors/support.rs"]
mod support;
