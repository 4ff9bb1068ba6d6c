import { beforeAll, describe, expect, test } from 'vitest';
import { type LocalHub, startLocalHub } from 'xetkit/local-hub';
import { describeInEachPlace } from './places.ts';
import { makeGguf, makeParquet, scores } from './samples.ts';
import { withTools } from './tools.ts';
import { tell, trafficOf } from './traffic.ts';

// hyparquet and @huggingface/gguf as they were published read parts of large files from a Hub on this machine.

const table = { rows: 400_000, seed: 11 };
const model = { tokens: 130_000, layers: 10, seed: 12 };
const COLUMNS = ['id', 'score'];
const [ROW_START, ROW_END] = [120_000, 120_200];
const TOKEN = 'hf_local';

withTools(() => {
  let hub: LocalHub;
  let parquetSize = 0;
  let ggufSize = 0;
  beforeAll(async () => {
    hub = await startLocalHub();
    const [parquet, gguf] = [await makeParquet(table), makeGguf(model)];
    for (const name of ['owner/open', 'owner/private']) {
      await hub.commitFiles(`datasets/${name}`, { 'data/table.parquet': parquet });
      await hub.commitFiles(name, { 'model.gguf': gguf });
    }
    for (const repo of ['owner/private', 'datasets/owner/private']) await hub.setRepo(repo, { private: true });
    [parquetSize, ggufSize] = [parquet.length, gguf.length];
    return () => hub.close();
  });

  describeInEachPlace(
    () => hub,
    (place) => {
      // What the Hub does not show to everyone is asked for with a token, in the way that the client has for it.
      describe.each([
        ['of everyone', 'owner/open', undefined],
        ['behind a token', 'owner/private', TOKEN],
      ])('%s', (_what, name, token) => {
        test('hyparquet: some rows of two columns', async () => {
          const url = `${hub.url}/datasets/${name}/resolve/main/data/table.parquet`;
          const read = () =>
            place.run('hyparquet', { url, token, columns: COLUMNS, rowStart: ROW_START, rowEnd: ROW_END });
          const expected = scores(table).slice(ROW_START, ROW_END);
          const rows = Array.from(expected, (score, at) => ({ id: ROW_START + at, score }));
          const answer = { size: parquetSize, count: table.rows, rows };

          expect(await read()).toEqual(answer);
          const cold = trafficOf(hub);
          tell(`${place.name}, hyparquet`, parquetSize, cold);
          expect([cold.bridge.requests, cold.git.requests]).toEqual([0, 0]);
          // The end of the file, of which it takes half a MiB, and a row group of two columns.
          expect(cold.xorb.bytes).toBeGreaterThan(600_000);
          expect(cold.xorb.bytes).toBeLessThan(parquetSize * 0.15);

          expect(await read()).toEqual(answer);
          expect(trafficOf(hub).xorb.requests).toBe(0);
        });

        test('@huggingface/gguf: a header with a large vocabulary', async () => {
          const url = `${hub.url}/${name}/resolve/main/model.gguf`;
          const read = () => place.run('gguf', { url, token });
          const tensors = Array.from({ length: model.layers }, (_, layer) => `blk.${layer}.ffn_up.weight 512 2048`);
          const answer = {
            architecture: 'llama',
            tokens: model.tokens,
            lastToken: `token ${model.tokens - 1}`,
            tensors,
            parameterCount: model.layers * 512 * 2048,
          };

          expect(await read()).toEqual(answer);
          const cold = trafficOf(hub);
          tell(`${place.name}, gguf`, ggufSize, cold);
          expect([cold.bridge.requests, cold.git.requests]).toEqual([0, 0]);
          // It asks for 2 MB at a time, and twice, as the vocabulary is longer than one of them.
          expect(cold.xorb.bytes).toBeGreaterThan(1_000_000);
          expect(cold.xorb.bytes).toBeLessThan(5_000_000);

          expect(await read()).toEqual(answer);
          expect(trafficOf(hub).xorb.requests).toBe(0);
        });
      });
    },
  );
});
