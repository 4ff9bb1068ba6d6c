import { spawnWebWorker } from '../../workers/spawn.web.ts';
import type { ContentHash } from '../core/content-hash.ts';
import { networkFetch } from '../http/network-fetch.ts';
import type { ReaderPlatform } from './platform.ts';

const MIB = 1024 * 1024;

/** Reading in browsers: in pages and workers of all kinds. Nothing here touches a global before it is called. */
export const readerPlatform: ReaderPlatform = {
  fetchOf: () => networkFetch,
  fetchTogether: undefined,
  // Chromium reads answers that it may cache to their end, into the page's memory, however slowly the page takes them.
  requestBytes: 4 * MIB,
  loadCodec: undefined,
  // Service workers have none.
  spawnWorker: typeof Worker === 'undefined' ? undefined : () => spawnWebWorker(),
  processors: typeof navigator === 'undefined' ? 2 : (navigator.hardwareConcurrency ?? 2),
  memoryBudgetBytes: 96 * MIB,
  makeContentHash: (algorithm) => webContentHash(algorithm === 'sha1' ? 'SHA-1' : 'SHA-256'),
  defaultEndpoint: () => undefined,
  xetDisabled: () => false,
  defaultToken: async () => undefined,
  offline: () => false,
};

/** WebCrypto digests in one go only, so the content is kept until the end. Such files are small ones of git. */
function webContentHash(algorithm: 'SHA-1' | 'SHA-256'): ContentHash {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  return {
    update: (bytes) => void parts.push(bytes.slice()),
    digest: async () => {
      const digest = new Uint8Array(await crypto.subtle.digest(algorithm, await new Blob(parts).arrayBuffer()));
      return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
    },
  };
}
