import { changed, exactly, type Look, SAMPLE_BYTES, type SourceFile } from './source-file.ts';
import { iterate } from './stream-source.ts';

/** A Blob, or a File of the user's. A file that was changed on the disk since it was picked refuses to be read. */
export class BlobSource implements SourceFile {
  readonly #name: string;
  readonly #blob: Blob;

  constructor(name: string, blob: Blob) {
    this.#name = name;
    this.#blob = blob;
  }

  async look(): Promise<Look> {
    const head = this.#blob.slice(0, SAMPLE_BYTES);
    const sample = new Uint8Array(await this.#readable(head.arrayBuffer()));
    return { size: this.#blob.size, sample };
  }

  async *bytes(): AsyncGenerator<Uint8Array, void, undefined> {
    const pieces = exactly(this.#blob.size, this.#name, iterate(this.#blob.stream()));
    try {
      for (;;) {
        const next = await this.#readable(pieces.next());
        if (next.done) return;
        yield next.value;
      }
    } finally {
      await pieces.return();
    }
  }

  async #readable<T>(step: Promise<T>): Promise<T> {
    try {
      return await step;
    } catch (error) {
      if (error instanceof DOMException && /^Not(Readable|Found)Error$/.test(error.name)) {
        throw changed(this.#name, error);
      }
      throw error;
    }
  }
}
