// @ts-check
import { readFile, stat } from 'node:fs/promises';
import { XetClient } from 'xetkit';
import { loadCodec } from 'xetkit/codec';
import { rememberingFetch, runJob, timedReads } from './measure.mjs';

/** @param {Record<string, any>} job */
const clientFor = (job, more = {}) =>
  new XetClient({ ...(job.workers !== undefined && { workers: job.workers }), ...job.options, ...more });

await runJob({
  download: async ({ repo, path, localDir, ...job }) => {
    const client = clientFor(job);
    return async () => {
      const { size, bytes, verified } = await client.downloadFile({ repo, path, localDir });
      await client.close();
      return { size, verified, source: bytes };
    };
  },
  memory: async ({ repo, path, ...job }) => {
    const client = clientFor(job);
    return async () => {
      const file = await client.open({ repo, path });
      const bytes = await file.arrayBuffer();
      await client.close();
      return { size: bytes.byteLength };
    };
  },
  firstByte: async ({ repo, path, ...job }) => {
    const client = clientFor(job);
    return async () => {
      const file = await client.open({ repo, path });
      const reader = file.stream().getReader();
      const { value } = await reader.read();
      const at = performance.now();
      reader.cancel().catch(() => undefined);
      return { at, size: value?.length };
    };
  },
  ranges: async ({ repo, path, ranges, ...job }) => {
    const client = clientFor(job);
    return async () => {
      const file = await client.open({ repo, path });
      const times = await timedReads(ranges, async (start, end) => (await file.read(start, end)).byteLength);
      await client.close();
      return times;
    };
  },
  snapshot: async ({ repo, localDir, ...job }) => {
    const client = clientFor(job);
    return async () => {
      const { files } = await client.snapshot({ repo, localDir });
      await client.close();
      return { files: files.length, size: files.reduce((sum, { size }) => sum + size, 0) };
    };
  },
  decode: async ({ repo, path, ...job }) => {
    // Nothing is kept between the two reads but the answers of the server.
    const fetch = rememberingFetch();
    const read = async () => {
      const client = clientFor(job, { fetch, chunkCache: false, cacheDir: undefined });
      const file = await client.open({ repo, path });
      let size = 0;
      for await (const bytes of file.stream()) size += bytes.length;
      await client.close();
      return { size };
    };
    await read();
    return read;
  },
  chunk: async ({ file }) => {
    const bytes = new Uint8Array(await readFile(file));
    const codec = await loadCodec();
    const chunked = (/** @type {Uint8Array} */ content) => {
      const chunker = codec.chunker();
      const block = 1024 * 1024;
      /** @type {Uint8Array[]} */
      const parts = [];
      for (let at = 0; at < content.length; at += block) {
        parts.push(chunker.push(content.subarray(at, at + block), at + block >= content.length));
      }
      chunker.free();
      return codec.fileHash(Buffer.concat(parts));
    };
    chunked(bytes.subarray(0, 8_000_000));
    return async () => {
      chunked(bytes);
      return { size: bytes.length };
    };
  },
  upload: async ({ repo, path, file, ...job }) => {
    // By any name: the benchmark also runs on versions that cannot upload.
    const client = /** @type {any} */ (clientFor(job));
    const { size } = await stat(file);
    return async () => {
      await client.upload({ repo, files: [{ path, content: file }], title: 'Measured' });
      await client.close();
      return { size };
    };
  },
});
