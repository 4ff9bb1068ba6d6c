import { XetError } from './errors.ts';

/** Length of every hash of the protocol, in bytes. */
export const HASH_BYTES = 32;

/** The hash of an empty file, and of an empty list of chunks: 64 zeros. */
export const ZERO_HASH = '0'.repeat(64);

const HEX = /^[0-9a-f]{64}$/;
const byteHex = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** Throws `INVALID_ARGUMENT` for anything but bytes, including those of another realm. */
export function requireBytes(value: unknown): asserts value is Uint8Array {
  if (!ArrayBuffer.isView(value)) throw new XetError('INVALID_ARGUMENT', `Expected a Uint8Array, not ${typeof value}.`);
}

/**
 * A hash as text, the form of JSON and URLs: four little-endian 64-bit words as hexadecimal numbers, so each
 * group of eight bytes appears reversed.
 */
export function hashToHex(bytes: Uint8Array, offset = 0): string {
  requireBytes(bytes);
  let text = '';
  for (let word = 0; word < HASH_BYTES; word += 8) {
    for (let byte = 7; byte >= 0; byte--) text += byteHex[bytes[offset + word + byte] ?? 0];
  }
  return text;
}

/** The raw 32 bytes of a hash in text form. Throws `INVALID_ARGUMENT` for anything but 64 hex digits. */
export function hashFromHex(text: string): Uint8Array {
  const hex = typeof text === 'string' ? text.toLowerCase() : typeof text;
  if (!HEX.test(hex)) throw new XetError('INVALID_ARGUMENT', `Not a Xet hash (64 hex digits): ${hex.slice(0, 80)}`);
  const bytes = new Uint8Array(HASH_BYTES);
  for (let word = 0; word < HASH_BYTES; word += 8) {
    for (let byte = 0; byte < 8; byte++) {
      const digit = (word + 7 - byte) * 2;
      bytes[word + byte] = Number.parseInt(hex.slice(digit, digit + 2), 16);
    }
  }
  return bytes;
}

/** True if a text is a hash in lower-case hex. */
export function isHashHex(text: unknown): text is string {
  return typeof text === 'string' && HEX.test(text);
}
