import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import type { XetClientOptions } from '../../src/client/options.ts';
import { loadCodec } from '../../src/codec/load.node.ts';
import { parseOpfsPath } from '../../src/fs/opfs.ts';
import { acquirePageLock } from '../../src/fs/page-lock.ts';
import type { LocalHub } from '../../src/local-hub/start.ts';
import { type SaveOptions, type SaveTarget, saveFile } from '../../src/read/save-file.ts';
import { FakeOpfs, type FakeOpfsOptions } from '../support/fake-opfs.ts';
import { sha256 } from '../support/hub.ts';
import { rejectionOf, thrownBy } from '../support/property.ts';
import { randomBytes, text } from '../support/samples.ts';
import { sourceClient, sourceHub } from '../support/source.ts';

const repo = 'owner/model';
const bytes = randomBytes(3_000_000, 1);

beforeAll(loadCodec);
afterEach(() => {
  vi.unstubAllGlobals();
});

async function hubWithFile(): Promise<LocalHub> {
  const hub = await sourceHub();
  await hub.commitFiles(repo, { 'a.bin': bytes }, { xet: 'always', chunksPerXorb: 10 });
  await hub.commitFiles(repo, { 'a.json': text(500, 1) }, { xet: 'never' });
  return hub;
}

async function save(
  hub: LocalHub,
  target: SaveTarget,
  how: SaveOptions & { path?: string; client?: XetClientOptions } = {},
) {
  const { path = 'a.bin', client: options, ...more } = how;
  const client = sourceClient(hub, { chunkCache: false, ...options });
  return saveFile(await client.open({ repo, path }), target, more);
}

/** Collects what is written to it, after whatever is to happen before each write. */
function collector(beforeWrite: () => Promise<void> = async () => undefined) {
  const parts: Uint8Array[] = [];
  const ends: unknown[] = [];
  const target = new WritableStream<Uint8Array>({
    async write(part) {
      await beforeWrite();
      parts.push(part.slice());
    },
    close: () => void ends.push('closed'),
    abort: (reason) => void ends.push(reason),
  });
  return { target, ends, content: () => Buffer.concat(parts) };
}

const xorbBytes = (hub: LocalHub) =>
  hub.requests.filter(({ kind }) => kind === 'xorb').reduce((sum, { bytesSent }) => sum + bytesSent, 0);

describe('a stream', () => {
  test('is closed when all of it was right', async () => {
    const hub = await hubWithFile();
    const { target, ends, content } = collector();
    const result = await save(hub, target);
    expect(sha256(content())).toBe(sha256(bytes));
    expect(ends).toEqual(['closed']);
    expect(result).toMatchObject({ localPath: '', size: bytes.length, verified: 'xet', bytes: { cache: 0, local: 0 } });
    expect(result.bytes.network).toBe(xorbBytes(hub));
    expect((await save(hub, collector().target, { path: 'a.json' })).verified).toBe('git-sha1');
  });

  test('is aborted when it was not', async () => {
    const hub = await hubWithFile();
    hub.faults.add({ kind: 'xorb', action: 'corrupt', offset: 5000, times: 1e9 });
    const { target, ends } = collector();
    const error = await rejectionOf(save(hub, target));
    expect(error).toMatchObject({ code: 'INTEGRITY' });
    expect(ends).toEqual([error]);
  });

  test('holds up the download when it is slow, and an abort ends both at once', async () => {
    const hub = await hubWithFile();
    const stop = new AbortController();
    let writes = 0;
    const { target, ends } = collector(async () => {
      if (++writes === 2) stop.abort(new Error('enough'));
      await new Promise((resolve) => setTimeout(resolve, 100));
    });
    expect(await rejectionOf(save(hub, target, { signal: stop.signal }))).toBe(stop.signal.reason);
    expect(writes).toBeLessThan(4);
    expect(ends).toEqual([stop.signal.reason]);
    const full = collector();
    const failing = new WritableStream<Uint8Array>({ write: () => Promise.reject(new Error('no more')) });
    expect(await rejectionOf(save(hub, failing))).toMatchObject({ message: 'no more' });
    await save(hub, full.target);
  });
});

describe('what cannot be', () => {
  test('there is no storage outside of pages', async () => {
    const hub = await hubWithFile();
    expect(await rejectionOf(save(hub, { opfs: 'a' }))).toMatchObject({ code: 'UNSUPPORTED' });
    vi.stubGlobal('navigator', {
      storage: { getDirectory: () => Promise.reject(new DOMException('', 'SecurityError')) },
    });
    expect(await rejectionOf(save(hub, { opfs: 'a' }))).toMatchObject({ code: 'UNSUPPORTED' });
    expect(xorbBytes(hub)).toBe(0);
  });

  test('without storage of its own a page saves to a picked file in one go', async () => {
    const hub = await hubWithFile();
    const { target, ends, content } = collector();
    const picked = {
      kind: 'file' as const,
      name: 'x',
      getFile: async () => new Blob(),
      createWritable: async () => target,
    };
    expect(await save(hub, picked)).toMatchObject({ verified: 'xet' });
    expect([sha256(content()), ends]).toEqual([sha256(bytes), ['closed']]);
    const folder = { ...picked, kind: 'directory' } as unknown as SaveTarget;
    expect(await rejectionOf(save(hub, folder))).toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  test('a browser that can write no files in any way', async () => {
    const hub = await hubWithFile();
    new FakeOpfs({ inPlace: false, writable: false }).install();
    expect(await rejectionOf(save(hub, { opfs: 'a' }))).toMatchObject({ code: 'UNSUPPORTED' });
  });

  test.each(['', '/', 'a/', '/a', 'a//b', '.', 'a/..', '../a'])("no file '%s'", (path) => {
    expect(thrownBy(() => parseOpfsPath(path))).toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});

const kinds: [string, FakeOpfsOptions][] = [
  ['in place', {}],
  ['in place, where no name can be taken that is in use', { move: 'refuses' }],
  ['in place, where nothing can be renamed', { move: 'none' }],
  ['in parts', { inPlace: false }],
  ['in parts, where nothing can be renamed', { inPlace: false, move: 'none' }],
];

describe.each(kinds)('storage that is written %s', (_what, options) => {
  test('has the file under its name only when it is right, also over another one', async () => {
    const opfs = new FakeOpfs(options);
    opfs.install();
    const hub = await hubWithFile();
    await save(hub, { opfs: 'm/a.bin' }, { path: 'a.json' });
    hub.faults.add({ kind: 'xorb', action: 'corrupt', offset: 5000, times: 1e9 });
    expect(await rejectionOf(save(hub, { opfs: 'm/a.bin' }))).toMatchObject({ code: 'INTEGRITY' });
    expect(opfs.paths).toEqual(['m/a.bin']);
    expect(opfs.content('m/a.bin')).toEqual(text(500, 1));
    hub.faults.clear();
    expect((await save(hub, { opfs: 'm/a.bin' })).bytes.network).toBeGreaterThan(0);
    expect(sha256(opfs.content('m/a.bin') ?? NONE)).toBe(sha256(bytes));
    expect((await save(hub, { opfs: 'm/a.bin' })).bytes).toEqual({ network: 0, cache: 0, local: bytes.length });
    expect(opfs.paths).toEqual(['m/a.bin']);
  });

  test('goes on where an abort or a failing server left it', async () => {
    const opfs = new FakeOpfs(options);
    opfs.install();
    const hub = await hubWithFile();
    hub.faults.add({ kind: 'xorb', action: 'status', status: 404, after: 3, times: 1e9 });
    const first = { client: { concurrency: 1, fallback: 'never' } as const };
    expect(await rejectionOf(save(hub, { opfs: 'a.bin' }, first))).toMatchObject({ code: 'ENTRY_NOT_FOUND' });
    hub.faults.clear();
    hub.faults.bytesPerSecond = 2_000_000;
    const stop = new AbortController();
    const reason = new Error('enough');
    const onProgress = ({ bytes: { done } }: { bytes: { done: number } }) =>
      void (done > 2_400_000 && stop.abort(reason));
    const second = { signal: stop.signal, onProgress, client: { concurrency: 1 } };
    expect(await rejectionOf(save(hub, { opfs: 'a.bin' }, second))).toBe(reason);
    hub.faults.bytesPerSecond = 0;
    const result = await save(hub, { opfs: 'a.bin' });
    expect(result.bytes.local).toBeGreaterThan(2_000_000);
    expect(result.bytes.local + result.bytes.network).toBeLessThan(bytes.length * 1.01);
    expect(sha256(opfs.content('a.bin') ?? NONE)).toBe(sha256(bytes));
  });

  test('says what to do when there is no room, and fetches nothing in vain', async () => {
    const opfs = new FakeOpfs({ ...options, quotaBytes: 2_000_000 });
    opfs.install();
    const hub = await hubWithFile();
    const error = await rejectionOf(save(hub, { opfs: 'a.bin' }));
    expect(error).toMatchObject({
      code: 'QUOTA',
      message: expect.stringMatching(/it has 3 MB, and about \d MB are left/),
    });
    if (options.inPlace !== false) {
      expect(xorbBytes(hub)).toBe(0);
      expect(opfs.paths).toEqual([]);
    }
  });

  test('a file that is open elsewhere is left alone', async () => {
    const opfs = new FakeOpfs(options);
    opfs.install();
    const hub = await hubWithFile();
    await save(hub, { opfs: 'a.bin' });
    const file = await opfs.root.getFileHandle('a.bin');
    if (options.move === 'none') return;
    file.open = true;
    const replacing = rejectionOf(save(hub, { opfs: 'a.bin' }, { force: true }));
    if (options.move === 'refuses') expect(await replacing).toMatchObject({ code: 'CONFLICT' });
    else await replacing;
  });
});

describe('a lock of pages', () => {
  /** Locks as browsers have them, for one page. */
  function fakeLocks() {
    let held = false;
    const waiting: (() => void)[] = [];
    return {
      async request(
        _name: string,
        options: { ifAvailable?: boolean; signal?: AbortSignal },
        use: (lock: object | null) => Promise<void> | undefined,
      ) {
        if (held && options.ifAvailable) return use(null);
        if (held) {
          await new Promise<void>((resolve, reject) => {
            waiting.push(resolve);
            options.signal?.addEventListener('abort', () => reject(options.signal?.reason));
          });
        }
        held = true;
        await use({});
        held = false;
        waiting.shift()?.();
      },
    };
  }

  test('is had by one at a time; who waits is told, and may give up', async () => {
    vi.stubGlobal('navigator', { locks: fakeLocks() });
    const stop = new AbortController();
    const told: string[] = [];
    const ask = (who: string, signal = new AbortController().signal) =>
      acquirePageLock('a', { signal, onWait: () => void told.push(who) });
    const release = await ask('one');
    const leaving = rejectionOf(ask('two', stop.signal));
    const third = ask('three');
    await vi.waitFor(() => expect(told).toEqual(['two', 'three']));
    stop.abort(new Error('enough'));
    expect(await leaving).toBe(stop.signal.reason);
    expect(await rejectionOf(ask('four', stop.signal))).toBe(stop.signal.reason);
    release();
    // The one who left is passed over.
    await vi.waitFor(async () => expect(await Promise.race([third, Promise.resolve(undefined)])).toBeUndefined());
  });

  test('is no hindrance where there are none', async () => {
    const release = await acquirePageLock('a', { signal: new AbortController().signal, onWait: () => undefined });
    release();
  });
});

const NONE = new Uint8Array();
