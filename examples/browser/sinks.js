// @ts-check
// Where the bytes go: into a Blob that can be saved afterwards, or straight into a file.

/**
 * @typedef {object} Sink
 * @property {(bytes: Uint8Array<ArrayBuffer>) => Promise<void> | void} write
 * @property {() => Promise<Blob | undefined>} finish only for a file that was verified; gives what is in memory
 * @property {() => Promise<void>} discard
 */

/** Browsers may put Blobs on the disk, but not arrays: so few bytes are in arrays at any time. */
const BLOB_BYTES = 8 * 1024 * 1024;

/** @param {string} type @returns {Sink} */
export function memorySink(type = 'application/octet-stream') {
  /** @type {Blob[]} */
  let blobs = [];
  /** @type {Uint8Array<ArrayBuffer>[]} */
  let parts = [];
  let held = 0;
  const pack = () => {
    blobs.push(new Blob(parts));
    parts = [];
    held = 0;
  };
  return {
    write(bytes) {
      parts.push(bytes);
      held += bytes.length;
      if (held >= BLOB_BYTES) pack();
    },
    async finish() {
      pack();
      return new Blob(blobs, { type });
    },
    async discard() {
      blobs = [];
      parts = [];
    },
  };
}

export const canPickFile = 'showSaveFilePicker' in globalThis;

/**
 * A file that the user picks; has to be called while a click is being handled. What was there stays as it is until
 * all is verified: the browser writes beside it.
 * @param {string} name
 * @returns {Promise<Sink>}
 */
export async function fileSink(name) {
  const picker = /** @type {{ showSaveFilePicker: (options: object) => Promise<FileSystemFileHandle> }} */ (
    /** @type {unknown} */ (globalThis)
  );
  const handle = await picker.showSaveFilePicker({ suggestedName: name });
  const file = await handle.createWritable();
  return {
    write: (bytes) => file.write(bytes),
    async finish() {
      await file.close();
      return undefined;
    },
    discard: () => file.abort(),
  };
}
