import { expect, test } from 'vitest';
import { bytesOf, noise, reconstruction, testHub } from './helpers.ts';

const data = noise(11, 1_000_000);

async function signed(hub: Awaited<ReturnType<typeof testHub>>, range?: string) {
  await hub.commitFiles('me/model', { 'w.bin': data });
  const found = await reconstruction(hub, 'me/model', 'w.bin', range);
  const entry = Object.values(found.xorbs)[0]![0]!;
  return { url: entry.url, ...entry.ranges[0]!.bytes };
}

const status = async (url: string, range?: string) => (await fetch(url, range ? { headers: { range } } : {})).status;

test('a signed address gives its ranges and parts of them, and nothing else', async () => {
  const hub = await testHub();
  const { url, start, end } = await signed(hub, 'bytes=200000-300000');
  const whole = await fetch(url, { headers: { range: `bytes=${start}-${end}` } });
  expect(whole.status).toBe(206);
  expect(whole.headers.get('content-range')).toMatch(new RegExp(`^bytes ${start}-${end}/\\d+$`));
  expect((await bytesOf(whole)).length).toBe(end - start + 1);
  expect(await status(url, `bytes=${start + 5}-${end - 5}`)).toBe(206);
  for (const range of [
    undefined,
    `bytes=${start - 1}-${end}`,
    `bytes=${start}-${end + 1}`,
    `bytes=${start}-`,
    'bytes=-5',
    'pages=1-2',
    `bytes=${end}-${start}`,
  ]) {
    expect(await status(url, range)).toBe(403);
  }
});

test('a strict address wants exactly its range', async () => {
  const hub = await testHub({ rangeRule: 'exact' });
  const { url, start, end } = await signed(hub);
  expect(await status(url, `bytes=${start}-${end}`)).toBe(206);
  expect(await status(url, `bytes=${start}-${end - 1}`)).toBe(403);
});

test('an address ends when its time is over, and cannot be changed', async () => {
  let now = 1_900_000_000_000;
  const hub = await testHub({ now: () => now, urlLifetimeSeconds: 10 });
  const { url, start, end } = await signed(hub);
  const range = `bytes=${start}-${end}`;
  const other = new URL(url);
  other.searchParams.set('X-Xet-Signed-Range', `bytes=0-${end + 100}`);
  expect(await status(other.href, range)).toBe(403);
  other.href = url.replace(/Expires=\d+/, 'Expires=9900000000');
  expect(await status(other.href, range)).toBe(403);
  now += 9_999;
  expect(await status(url, range)).toBe(206);
  now += 1;
  expect(await status(url, range)).toBe(403);
});

test('a token does not stand in for a signature', async () => {
  const hub = await testHub();
  const { url, start, end } = await signed(hub);
  const bare = url.split('?')[0]!;
  const headers = { authorization: 'Bearer hf_local', range: `bytes=${start}-${end}` };
  expect((await fetch(bare, { headers })).status).toBe(403);
});

test('several ranges come as parts', async () => {
  const hub = await testHub();
  const { url, start } = await signed(hub);
  const response = await fetch(url, { headers: { range: `bytes=${start}-${start + 9},${start + 20}-${start + 24}` } });
  expect(response.status).toBe(206);
  const type = response.headers.get('content-type') ?? '';
  expect(type).toMatch(/^multipart\/byteranges; boundary=/);
  const text = Buffer.from(await response.arrayBuffer()).toString('latin1');
  const parts = text.split(`--${type.split('boundary=')[1]}`).slice(1, -1);
  expect(parts.map((part) => part.split('\r\n\r\n')[1]!.length - 2)).toEqual([10, 5]);
  expect(parts[1]).toContain(`Content-Range: bytes ${start + 20}-${start + 24}/`);
});

test('requests are recorded with what they cost', async () => {
  const hub = await testHub();
  const { url, start } = await signed(hub);
  hub.resetRequests();
  await bytesOf(await fetch(url, { headers: { range: `bytes=${start}-${start + 99}` } }));
  expect(hub.requests).toMatchObject([
    {
      kind: 'xorb',
      method: 'GET',
      status: 206,
      bytesSent: 100,
      range: `bytes=${start}-${start + 99}`,
      authorized: false,
    },
  ]);
  expect(hub.requests[0]?.path).not.toContain('?');
});
