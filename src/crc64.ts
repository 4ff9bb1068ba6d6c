/** CRC-64/NVME: reflected, polynomial 0xad93d23594c93659, all ones before and after. */
const POLYNOMIAL = 0x9a6c9329ac4bc9b5n;

/** Eight tables of 256 entries, low and high halves side by side: eight bytes are folded in at once. Made when first used. */
let tables: Int32Array | undefined;

function buildTables(): Int32Array {
  const first = Array.from({ length: 256 }, (_, byte) => {
    let value = BigInt(byte);
    for (let bit = 0; bit < 8; bit++) value = (value & 1n) === 1n ? (value >> 1n) ^ POLYNOMIAL : value >> 1n;
    return value;
  });
  const built = new Int32Array(8 * 256 * 2);
  first.forEach((start, byte) => {
    let value = start;
    for (let table = 0; table < 8; table++) {
      const at = (table * 256 + byte) * 2;
      built[at] = Number(value & 0xffff_ffffn) | 0;
      built[at + 1] = Number(value >> 32n) | 0;
      value = (value >> 8n) ^ (first[Number(value & 0xffn)] ?? 0n);
    }
  });
  return built;
}

/** Checksum of a stream of bytes. */
export class Crc64 {
  #low = -1;
  #high = -1;

  update(bytes: Uint8Array): void {
    let low = this.#low;
    let high = this.#high;
    const words = bytes.length - (bytes.length % 8);
    let at = 0;
    // The tables are read with plain indexing: every index is below their length by construction.
    tables ??= buildTables();
    const known = tables;
    const table = (slot: number, byte: number, half: number) => known[((slot << 8) | byte) * 2 + half] ?? 0;
    for (; at < words; at += 8) {
      const a = low ^ word(bytes, at);
      const b = high ^ word(bytes, at + 4);
      const a0 = a & 255;
      const a1 = (a >>> 8) & 255;
      const a2 = (a >>> 16) & 255;
      const a3 = a >>> 24;
      const b0 = b & 255;
      const b1 = (b >>> 8) & 255;
      const b2 = (b >>> 16) & 255;
      const b3 = b >>> 24;
      low =
        table(7, a0, 0) ^
        table(6, a1, 0) ^
        table(5, a2, 0) ^
        table(4, a3, 0) ^
        table(3, b0, 0) ^
        table(2, b1, 0) ^
        table(1, b2, 0) ^
        table(0, b3, 0);
      high =
        table(7, a0, 1) ^
        table(6, a1, 1) ^
        table(5, a2, 1) ^
        table(4, a3, 1) ^
        table(3, b0, 1) ^
        table(2, b1, 1) ^
        table(1, b2, 1) ^
        table(0, b3, 1);
    }
    for (; at < bytes.length; at++) {
      const byte = (low ^ (bytes[at] ?? 0)) & 255;
      low = ((low >>> 8) | (high << 24)) ^ table(0, byte, 0);
      high = (high >>> 8) ^ table(0, byte, 1);
    }
    this.#low = low;
    this.#high = high;
  }

  /** The checksum as a decimal number, the form that grants use. */
  toString(): string {
    const low = BigInt(~this.#low >>> 0);
    const high = BigInt(~this.#high >>> 0);
    return ((high << 32n) | low).toString();
  }
}

function word(bytes: Uint8Array, at: number): number {
  return (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 24);
}
