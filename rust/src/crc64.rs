use std::sync::LazyLock;

use crc::{CRC_64_NVME, Crc, Table};

/// 32 KB, made when first used: written out they would be a third of the module.
static TABLES: LazyLock<Crc<u64, Table<16>>> = LazyLock::new(|| Crc::<u64, Table<16>>::new(&CRC_64_NVME));

/// CRC-64/NVME of a stream that goes on with this data; 0 is that of what came before the first byte.
pub fn append(before: u64, data: &[u8]) -> u64 {
    // A checksum is the inverted register, and an initial value is told with its bits the other way round.
    let mut digest = TABLES.digest_with_initial((!before).reverse_bits());
    digest.update(data);
    digest.finalize()
}
