import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { parseAt } from '../../src/cli/edit-commands.ts';
import { run } from '../interop/tools.ts';
import { clientOf, hubFor, scratch } from '../support/hub.ts';
import { thrownBy } from '../support/property.ts';

const command = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

test('edit and append change a file with standard input', async () => {
  const hub = await hubFor();
  const repo = 'owner/model';
  await hub.createRepo(repo);
  const client = clientOf(hub, { accessToken: 'hf_local' });
  await client.upload({ repo, files: { path: 'notes.txt', content: new Blob(['one two three']) } });
  const env = { ...process.env, HF_ENDPOINT: hub.url, HF_TOKEN: 'hf_local', HF_HOME: await scratch() };
  const xetkit = (input: string, ...args: string[]) =>
    run('sh', ['-c', 'printf "%s" "$1" | (shift; exec "$@")', 'sh', input, process.execPath, command, ...args], {
      env,
    });
  expect(await xetkit('2', 'edit', repo, 'notes.txt', '--at', '4-7', '--quiet')).toMatchObject({ code: 0, stderr: '' });
  const appended = await xetkit(' four', 'append', repo, 'notes.txt', '--json');
  expect(appended).toMatchObject({ code: 0 });
  expect(JSON.parse(appended.stdout.split('\n')[0] ?? '')).toMatchObject({ path: 'notes.txt', status: 'uploaded' });
  expect(await (await client.open({ repo, path: 'notes.txt' })).text()).toBe('one 2 three four');
  expect(await xetkit('', 'edit', repo, 'notes.txt', '--at', '900-901')).toMatchObject({ code: 2 });
});

test.each(['', '5', '5-', '-5', '7-5', 'a-b', '1-2-3', '0-99999999999999999999'])("--at '%s' is refused", (text) => {
  expect(thrownBy(() => parseAt(text))).toMatchObject({ code: 'INVALID_ARGUMENT' });
});
