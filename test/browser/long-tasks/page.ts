import { XetClient } from '../../../src/client/xet-client.ts';
import { createXetFetch } from '../../../src/entries/fetch.ts';
import { type Metrics, saveFile, webUploads } from '../../../src/entries/index.ts';

/** Result of getting a file in one way. */
export interface Had {
  bytes: number;
  /** How the content was verified; a stream that ends without an error is verified. */
  verified: string;
  metrics: Metrics;
}

/** A file, and the database in which chunks of it are remembered. */
export interface Wanted {
  hub: string;
  repo: string;
  path: string;
  database: string;
}

type Way = (client: XetClient, wanted: Wanted) => Promise<Pick<Had, 'bytes' | 'verified'>>;

/** Reads to the end and keeps nothing. */
async function drain(stream: ReadableStream<Uint8Array>): Promise<{ bytes: number; verified: string }> {
  let bytes = 0;
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return { bytes, verified: 'at the end of the stream' };
    bytes += value.length;
  }
}

const UPLOAD_BYTES = 512 * 1024 * 1024;
const PIECE_BYTES = 512 * 1024;
const PART_BYTES = 8 * 1024;

/**
 * What no compression makes shorter, and what has no chunk twice: parts of a megabyte of noise from places in no
 * order. To make all of it anew would take the thread longer than to upload it.
 */
function noise(bytes: number): ReadableStream<Uint8Array> {
  const source = new Uint8Array(1024 * 1024);
  for (let at = 0; at < source.length; at += 65_536) crypto.getRandomValues(source.subarray(at, at + 65_536));
  let left = bytes;
  let place = 0;
  return new ReadableStream({
    pull: (controller) => {
      const piece = new Uint8Array(Math.min(left, PIECE_BYTES));
      for (let at = 0; at < piece.length; at += PART_BYTES) {
        place = (Math.imul(place, 1664525) + 1013904223) >>> 0;
        const from = place % (source.length - PART_BYTES);
        piece.set(source.subarray(from, from + Math.min(PART_BYTES, piece.length - at)), at);
      }
      controller.enqueue(piece);
      left -= piece.length;
      if (left === 0) controller.close();
    },
  });
}

const ways = {
  stream: async (client, { repo, path }) => drain((await client.open({ repo, path })).stream()),
  saveFile: async (client, { repo, path }) => {
    const { size, verified } = await saveFile(await client.open({ repo, path }), { opfs: `saved/${path}` });
    return { bytes: size, verified };
  },
  fetch: async (client, { hub, repo, path }) => {
    const { body } = await createXetFetch({ client })(`${hub}/${repo}/resolve/main/${path}`);
    if (!body) throw new Error('There is no body');
    return drain(body);
  },
  upload: async (client, { repo }) => {
    const { files } = await client.upload({ repo, files: [{ path: 'uploaded.bin', content: noise(UPLOAD_BYTES) }] });
    const [file] = files;
    return { bytes: file?.size ?? 0, verified: `${file?.status} as ${file?.mode}` };
  },
} satisfies Record<string, Way>;

export type WayName = keyof typeof ways;

async function have(way: WayName, wanted: Wanted): Promise<Had> {
  const settings = { endpoint: wanted.hub, accessToken: '', chunkCache: { dir: wanted.database }, uploads: webUploads };
  const client = new XetClient(settings);
  try {
    return { ...(await ways[way](client, wanted)), metrics: client.metrics() };
  } finally {
    await client.close();
  }
}

// The test looks at the page before it lets it begin.
Object.assign(globalThis, { have });
