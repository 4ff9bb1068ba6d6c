import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, expect, test } from 'vitest';
import { type LocalHub, startLocalHub } from 'xetkit/local-hub';
import { run } from '../interop/tools.ts';
import { scratch } from '../support/hub.ts';
import { randomBytes } from '../support/samples.ts';
import { deno } from './runtimes.ts';

const built = fileURLToPath(new URL('../../dist/node.js', import.meta.url));

let hub: LocalHub;
beforeAll(async () => {
  hub = await startLocalHub();
  await hub.commitFiles('owner/model', { 'big.bin': randomBytes(1_500_000, 9) });
  return () => hub.close();
});

test.each([
  { permissions: ['net', 'read', 'write', 'env'], warnings: 0, written: 'big.bin' },
  { permissions: ['net', 'read', 'write'], warnings: 0, written: 'big.bin' },
  { permissions: ['net', 'read', 'env'], warnings: 0, written: 'PERMISSION' },
  { permissions: ['net', 'read'], warnings: 0, written: 'PERMISSION' },
  // The codec is a file: without it data comes over plain HTTP, which is said.
  { permissions: ['net', 'env'], warnings: 1, written: 'PERMISSION' },
  { permissions: ['net'], warnings: 1, written: 'PERMISSION' },
])('Deno with $permissions reads files, and says what it cannot do', async ({ permissions, warnings, written }) => {
  const folder = await scratch();
  const script = join(folder, 'script.ts');
  await writeFile(
    script,
    `import { XetClient } from ${JSON.stringify(built)};
    let warnings = 0;
    const client = new XetClient({ endpoint: ${JSON.stringify(hub.url)}, onWarning: () => warnings++ });
    const file = await client.open({ repo: 'owner/model', path: 'big.bin' });
    const { length } = await file.read(0, file.size);
    const read = { length, warnings };
    const written = await client
      .downloadFile({ repo: 'owner/model', path: 'big.bin', localDir: ${JSON.stringify(join(folder, 'out'))} })
      .then(({ path }) => path.split('/').at(-1), ({ code }) => code);
    await client.close();
    console.log(JSON.stringify({ ...read, written }));`,
  );
  const allowed = permissions.map((name) => `--allow-${name}`);
  const { code, stdout, stderr } = await run(deno(), ['run', '--no-prompt', ...allowed, script]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(JSON.parse(stdout)).toEqual({ length: 1_500_000, warnings, written });
});
