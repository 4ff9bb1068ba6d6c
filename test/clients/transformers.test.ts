import { readFile } from 'node:fs/promises';
import { beforeAll, expect, test } from 'vitest';
import { type LocalHub, startLocalHub } from 'xetkit/local-hub';
import { describeInEachPlace } from './places.ts';
import { modelFiles, withTools } from './tools.ts';
import { type Traffic, tell, trafficOf } from './traffic.ts';

// transformers.js as it was published loads a model from a Hub on this machine and computes with it.

interface Loaded {
  vectors: number[][];
  /** Bytes, as the library counts them. */
  loaded: number;
  total: number;
  /** How often ONNX Runtime's own binary was fetched. */
  binaries: number;
}

interface Failed {
  error: { name: string; message: string; status?: number };
}

const ONNX = 'onnx/model_quantized.onnx';

function likeness(one: number[] = [], other: number[] = []): number {
  return one.reduce((sum, value, index) => sum + value * (other[index] ?? 0), 0);
}

withTools(() => {
  let hub: LocalHub;
  let onnx = 0;
  let git = 0;
  beforeAll(async () => {
    hub = await startLocalHub();
    const files: Record<string, Uint8Array> = {};
    for (const [name, path] of Object.entries(modelFiles)) files[name] = await readFile(path);
    for (const repo of ['owner/minilm', 'owner/private']) await hub.commitFiles(repo, files);
    await hub.setRepo('owner/private', { private: true });
    const sizes = Object.entries(files).map(([name, { length }]) => ({ name, length }));
    onnx = sizes.reduce((sum, { name, length }) => sum + (name === ONNX ? length : 0), 0);
    git = sizes.reduce((sum, { name, length }) => sum + (name === ONNX ? 0 : length), 0);
    return () => hub.close();
  });

  describeInEachPlace(
    () => hub,
    (place) => {
      const load = (way: string, given: object = {}) =>
        place.run<Loaded>('transformers', { way, repo: 'owner/minilm', dtype: 'q8', ...given });

      /**
       * All of the model once, of which hardly anything can be compressed, besides whatever was asked for a second
       * time as it was slow to come; and nothing by another way.
       */
      const expectOnce = (traffic: Traffic, more = 0) => {
        expect(traffic.bridge.requests).toBe(0);
        expect(traffic.xorb.bytes).toBeGreaterThan(onnx * 0.95);
        expect(traffic.xorb.bytes).toBeLessThan(onnx * 1.5 + more);
        // Small files are in git, and come once. To hear how long one is, the library asks for its first byte.
        expect(traffic.git.bytes).toBeGreaterThanOrEqual(git);
        expect(traffic.git.bytes).toBeLessThan(git + 50 + more);
      };
      const expectNoneOfIt = ({ bridge, reconstructions, xorb }: Traffic) =>
        expect([bridge.requests, reconstructions, xorb.requests]).toEqual([0, 0, 0]);

      test.each(['env.fetch', 'env.customCache', 'globalThis.fetch'])('a model, by %s', async (way) => {
        const first = await load(way);
        const cold = trafficOf(hub);
        tell(`${place.name}, ${way}, first`, onnx, cold);
        const [cat, kitten, shares] = first.vectors;
        expect(first.vectors.map(({ length }) => length)).toEqual([384, 384, 384]);
        expect(likeness(cat, kitten)).toBeGreaterThan(0.5);
        expect(likeness(cat, shares)).toBeLessThan(0.2);
        expect([first.loaded, first.total]).toEqual([onnx + git, onnx + git]);
        expectOnce(cold);
        expect(cold.reconstructions).toBe(1);

        expect(await load(way)).toEqual(first);
        const warm = trafficOf(hub);
        tell(`${place.name}, ${way}, again`, onnx, warm);
        expectNoneOfIt(warm);
      });

      if (place.name === 'Chromium') {
        test('a model, by a service worker', async () => {
          const first = await load('a service worker');
          const cold = trafficOf(hub);
          tell('service worker, first', onnx, cold);
          expect([first.loaded, first.total]).toEqual([onnx + git, onnx + git]);
          // Its answers are read whether or not the page does, and the first byte of a file brings those after it.
          expectOnce(cold, 600_000);

          expect(await load('a service worker')).toEqual(first);
          const warm = trafficOf(hub);
          tell('service worker, again', onnx, warm);
          expectNoneOfIt(warm);
        });

        test('what is not of the Hub, kept by a cache beside that of xetkit', async () => {
          for (const [way, fetched] of [
            ['env.customCache', [1, 1]],
            ['env.customCache with another one', [1, 0]],
          ] as const) {
            await place.forget();
            expect([(await load(way)).binaries, (await load(way)).binaries], way).toEqual(fetched);
          }
        });
      }

      test('the same as it computes without any of this', async () => {
        const plain = await load('nothing');
        const traffic = trafficOf(hub);
        tell(`${place.name}, plain`, onnx, traffic);
        expect([traffic.xorb.requests, traffic.bridge.bytes >= onnx]).toEqual([0, true]);
        expect(await load('env.fetch')).toEqual(plain);
      });

      test('kept by the cache of the library, which then asks nobody', async () => {
        // In pages it keeps ONNX Runtime's binary as well.
        const own = { ownCache: true, ...(place.name === 'Node' && { files: 'own-cache' }) };
        const first = await load('env.fetch', own);
        expect(trafficOf(hub).xorb.bytes).toBeGreaterThan(0);
        expect(await load('env.fetch', own)).toEqual({ ...first, binaries: 0 });
        expect(trafficOf(hub).requests).toBe(0);
      });

      test.each([
        ['a file that is missing', { dtype: 'fp16' }],
        ['a repository that is missing', { repo: 'owner/missing' }],
        ['a repository for others', { repo: 'owner/private' }],
      ])('%s: the error that the library has for it', async (_what, wrong) => {
        const failed = (way: string) => load(way, wrong) as unknown as Promise<Failed>;
        const plain = await failed('nothing');
        expect(plain.error.message).toMatch(/Could not locate file|Unauthorized|Forbidden/);
        for (const way of ['env.fetch', 'env.customCache']) expect(await failed(way)).toEqual(plain);
      });
    },
  );
});
