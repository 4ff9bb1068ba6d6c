// @ts-check
// `@huggingface/hub` as its users call it; the folder that holds it is given by whoever starts us.
import { createWriteStream } from 'node:fs';
import { mkdir, readFile, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { env } from 'node:process';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { pathToFileURL } from 'node:url';
import { rememberingFetch, runJob, timedReads } from './measure.mjs';

const require = createRequire(join(env.BENCH_MODULES ?? '', 'bench.js'));
/** @param {string} name @returns {Promise<any>} */
const load = (name) => import(pathToFileURL(require.resolve(name)).href);
const hubUrl = env.HF_ENDPOINT;

await runJob({
  download: async ({ repo, path, localDir }) => {
    const { downloadFile, downloadFileToCacheDir } = await load('@huggingface/hub');
    return async () => {
      if (localDir === undefined) {
        const cached = await downloadFileToCacheDir({ repo, path, hubUrl });
        return { size: (await stat(cached)).size };
      }
      const blob = await downloadFile({ repo, path, hubUrl });
      const target = join(localDir, path);
      await mkdir(dirname(target), { recursive: true });
      await pipeline(Readable.fromWeb(blob.stream()), createWriteStream(target));
      return { size: (await stat(target)).size };
    };
  },
  memory: async ({ repo, path }) => {
    const { downloadFile } = await load('@huggingface/hub');
    return async () => {
      const blob = await downloadFile({ repo, path, hubUrl });
      return { size: (await blob.arrayBuffer()).byteLength };
    };
  },
  firstByte: async ({ repo, path }) => {
    const { downloadFile } = await load('@huggingface/hub');
    return async () => {
      const blob = await downloadFile({ repo, path, hubUrl });
      const reader = blob.stream().getReader();
      const { value } = await reader.read();
      reader.cancel().catch(() => undefined);
      return { size: value?.length };
    };
  },
  ranges: async ({ repo, path, ranges }) => {
    const { downloadFile } = await load('@huggingface/hub');
    return async () => {
      const blob = await downloadFile({ repo, path, hubUrl });
      return timedReads(ranges, async (start, end) => (await blob.slice(start, end).arrayBuffer()).byteLength);
    };
  },
  snapshot: async ({ repo }) => {
    const { snapshotDownload } = await load('@huggingface/hub');
    return async () => {
      await snapshotDownload({ repo, hubUrl });
    };
  },
  decode: async ({ repo, path }) => {
    const { downloadFile } = await load('@huggingface/hub');
    const fetch = rememberingFetch();
    const read = async () => {
      const blob = await downloadFile({ repo, path, hubUrl, fetch });
      let size = 0;
      for await (const bytes of blob.stream()) size += bytes.length;
      return { size };
    };
    await read();
    return read;
  },
  chunk: async ({ file }) => {
    const { createChunker, nextBlock, finalize, fileHash } = await load('@huggingface/xetchunk-wasm');
    const bytes = new Uint8Array(await readFile(file));
    const chunked = (/** @type {Uint8Array} */ content) => {
      const chunker = createChunker();
      const chunks = [];
      const block = 1024 * 1024;
      for (let at = 0; at < content.length; at += block)
        chunks.push(...nextBlock(chunker, content.subarray(at, at + block)));
      const last = finalize(chunker);
      if (last) chunks.push(last);
      return fileHash(chunks);
    };
    chunked(bytes.subarray(0, 8_000_000));
    return async () => {
      chunked(bytes);
      return { size: bytes.length };
    };
  },
  upload: async ({ repo, path, file }) => {
    const { uploadFiles } = await load('@huggingface/hub');
    const { size } = await stat(file);
    return async () => {
      await uploadFiles({
        repo,
        hubUrl,
        accessToken: env.HF_TOKEN,
        files: [{ path, content: pathToFileURL(file) }],
        commitTitle: 'Measured',
        useXet: true,
      });
      return { size };
    };
  },
});
