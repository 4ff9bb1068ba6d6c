// @ts-check
// The main job, end to end, on this machine alone: a Hub, a model, and verified downloads of it.
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SingleBar } from 'cli-progress';
import { XetClient } from 'xetkit';
import { startLocalHub } from 'xetkit/local-hub';
import { fineTune, makeModel } from './demo/weights.mjs';

const MODEL = 'demo/model';
const VARIANT = 'demo/model-finetuned';

/** @param {number} bytes */
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
/** @param {Uint8Array} bytes */
const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

const folder = await mkdtemp(join(tmpdir(), 'xetkit-demo-'));
const hub = await startLocalHub({ dir: join(folder, 'hub') });
const client = new XetClient({ endpoint: hub.url, accessToken: '', chunkCache: { dir: join(folder, 'chunks') } });
try {
  console.log(`Local Hub at ${hub.url}`);
  const model = makeModel({ layers: 6, width: 512, vocabulary: 8192, seed: 1 });
  const variant = fineTune(model, { share: 0.05, runs: 4, seed: 2 });
  const config = new TextEncoder().encode(
    `${JSON.stringify({ model_type: 'demo', hidden_size: 512, num_hidden_layers: 6 }, null, 2)}\n`,
  );
  const card = new TextEncoder().encode('---\nlicense: apache-2.0\n---\n# A model made of noise\n');
  await hub.commitFiles(MODEL, { 'model.safetensors': model, 'config.json': config, 'README.md': card });
  await hub.commitFiles(VARIANT, { 'model.safetensors': variant, 'config.json': config });
  console.log(
    `Seeded ${MODEL} and ${VARIANT}: ${megabytes(model.length)} of float weights each, 5 % of them different\n`,
  );

  /** @type {{ what: string, size: number, network: number, cache: number, seconds: number, verified: string }[]} */
  const rows = [];
  /**
   * @param {string} repo
   * @param {string} path
   * @param {Uint8Array} expected
   */
  const download = async (repo, path, expected) => {
    const bar = new SingleBar({
      format: `${path} {bar} {percentage}% {rate}`,
      barsize: 30,
      clearOnComplete: true,
      hideCursor: true,
    });
    bar.start(expected.length, 0, { rate: '' });
    const result = await client.downloadFile({
      repo,
      path,
      localDir: join(folder, repo),
      onProgress: ({ bytes, bytesPerSecond }) => bar.update(bytes.done, { rate: `${megabytes(bytesPerSecond)}/s` }),
    });
    bar.stop();
    if (sha256(await readFile(result.localPath)) !== sha256(expected))
      throw new Error(`${repo} ${path} differs from what was seeded`);
    rows.push({
      what: `${repo} ${path}`,
      size: result.size,
      network: result.bytes.network,
      cache: result.bytes.cache + result.bytes.local,
      seconds: result.seconds,
      verified: result.verified,
    });
  };
  await download(MODEL, 'config.json', config);
  await download(MODEL, 'model.safetensors', model);
  await download(MODEL, 'model.safetensors', model);

  const started = performance.now();
  const file = await client.open({ repo: MODEL, path: 'model.safetensors' });
  const range = await file.read(20_000_000, 21_000_000);
  if (sha256(range) !== sha256(model.subarray(20_000_000, 21_000_000)))
    throw new Error('The range differs from what was seeded');
  const seconds = (performance.now() - started) / 1000;

  await download(VARIANT, 'model.safetensors', variant);

  const columns = ['file', 'size', 'network', 'here', 'seconds', 'MB/s', 'verified'];
  const cells = rows.map((row) => [
    row.what,
    megabytes(row.size),
    megabytes(row.network),
    megabytes(row.cache),
    row.seconds.toFixed(2),
    (row.size / 1e6 / row.seconds).toFixed(0),
    row.verified,
  ]);
  cells.splice(3, 0, [
    `${MODEL} bytes 20,000,000–20,999,999`,
    megabytes(range.length),
    '',
    '',
    seconds.toFixed(2),
    '',
    'compared',
  ]);
  const widths = columns.map((name, index) => Math.max(name.length, ...cells.map((row) => row[index]?.length ?? 0)));
  for (const row of [columns, ...cells]) {
    console.log(
      row
        .map((cell, index) => (index === 0 ? cell.padEnd(widths[index] ?? 0) : cell.padStart(widths[index] ?? 0)))
        .join('  '),
    );
  }
  console.log('\nEvery file is byte for byte what was seeded.');
} finally {
  await client.close();
  await hub.close();
  await rm(folder, { recursive: true, force: true });
}
