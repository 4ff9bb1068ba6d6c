import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { chmod, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ifPresent } from '../../fs/if-present.ts';
import type { StagingArea } from '../store/atomic-file.ts';

const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** Encrypts values that clients carry, such as the upstream's CAS token inside a token of the mirror. */
export class Sealer {
  readonly #key: Uint8Array;

  constructor(key: Uint8Array) {
    this.#key = key;
  }

  /** Opens the key of a folder, so that tokens survive a restart. */
  static async open(dir: string, staging: StagingArea): Promise<Sealer> {
    const path = join(dir, 'key');
    const known = await ifPresent(() => readFile(path));
    if (known?.length === KEY_BYTES) return new Sealer(known);
    const key = randomBytes(KEY_BYTES);
    await staging.write(path, key);
    await chmod(path, 0o600);
    return new Sealer(key);
  }

  seal(value: unknown): string {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce);
    const sealed = Buffer.concat([cipher.update(JSON.stringify(value)), cipher.final()]);
    return Buffer.concat([nonce, cipher.getAuthTag(), sealed]).toString('base64url');
  }

  /** The value, or `undefined` for a text that this mirror has not sealed. */
  unseal(text: string): unknown {
    const bytes = Buffer.from(text, 'base64url');
    if (bytes.length <= NONCE_BYTES + TAG_BYTES) return undefined;
    const decipher = createDecipheriv('aes-256-gcm', this.#key, bytes.subarray(0, NONCE_BYTES), {
      authTagLength: TAG_BYTES,
    });
    decipher.setAuthTag(bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
    try {
      const opened = Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES)), decipher.final()]);
      return JSON.parse(opened.toString());
    } catch {
      return undefined;
    }
  }
}
