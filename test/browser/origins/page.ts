import { XetClient } from '../../../src/client/xet-client.ts';
import { webUploads } from '../../../src/entries/index.ts';
import { type Outcome, report } from '../outcomes.ts';

/** Attempts of a page on a Hub. Each returns the response, and throws without one. */
type Attempts = Record<string, () => Promise<string>>;

const values = new URLSearchParams(location.search);
const hub = values.get('hub') ?? '';
const who = values.get('who') ?? '';
const token = { authorization: 'Bearer hf_local' };

const commitOf = (name: string) =>
  [
    { key: 'header', value: { summary: `By ${name}` } },
    { key: 'file', value: { path: `${name}.txt`, content: btoa(name), encoding: 'base64' } },
  ]
    .map((line) => JSON.stringify(line))
    .join('\n');

async function textOf(path: string, init: RequestInit = {}): Promise<string> {
  const response = await fetch(hub + path, init);
  if (response.type !== 'opaque' && !response.ok) throw new Error(`${response.status}`);
  return response.type === 'opaque' ? 'opaque' : response.text();
}

/** A form of the page, sent into a frame of it. */
async function submit(action: string, body: string): Promise<string> {
  const at = body.indexOf('By ');
  const frame = document.createElement('iframe');
  frame.name = `frame-${Math.random()}`;
  const form = document.createElement('form');
  Object.assign(form, { action: hub + action, method: 'POST', enctype: 'text/plain', target: frame.name });
  const field = document.createElement('textarea');
  // A form joins name and value by a '=', which so becomes a part of the summary.
  field.name = body.slice(0, at);
  field.value = body.slice(at);
  form.append(field);
  document.body.append(frame, form);
  const loaded = new Promise((resolve) => frame.addEventListener('load', resolve));
  form.submit();
  await loaded;
  return 'sent';
}

const main = '/api/models/me/model/commit/main';
const attempts: Attempts = {
  'list, without a token': () => textOf('/api/models'),
  'list, with a token': () => textOf('/api/models', { headers: token }),
  'read what is private': () => textOf('/me/secret/resolve/main/a.txt', { headers: token }),
  'read what is private, by any word': () =>
    textOf('/me/secret/resolve/main/a.txt', { headers: { authorization: 'Bearer x' } }),
  'commit as JSON': () => textOf(main, { method: 'POST', headers: token, body: commitOf(`${who}-json`) }),
  'commit as text': () => textOf(main, { method: 'POST', body: commitOf(`${who}-text`) }),
  'commit unseen': () => textOf(main, { method: 'POST', mode: 'no-cors', body: commitOf(`${who}-unseen`) }),
  'commit by a beacon': async () => String(navigator.sendBeacon(hub + main, commitOf(`${who}-beacon`))),
  'commit by a form': () => submit(main, commitOf(`${who}-form`)),
  'make a repository': () => textOf('/api/repos/create', { method: 'POST', body: `{"name":"${who}/new"}` }),
  'a token for writing': () => textOf('/api/models/me/model/xet-write-token/main'),
  upload: async () => {
    const client = new XetClient({
      endpoint: hub,
      accessToken: 'hf_local',
      workers: 0,
      uploads: webUploads,
      retry: { attempts: 1 },
    });
    const content = new Blob([crypto.getRandomValues(new Uint8Array(60_000))]);
    const result = await client.upload({ repo: 'me/model', files: [{ path: `${who}.bin`, content }] });
    await client.close();
    return JSON.stringify(result);
  },
  'upload a xorb': () =>
    textOf(`/cas/v1/xorbs/default/${'0'.repeat(64)}`, { method: 'POST', body: new Uint8Array(100) }),
  'delete a repository': () =>
    textOf('/api/repos/delete', { method: 'DELETE', headers: token, body: '{"name":"me/doomed"}' }),
};

const outcomes: Outcome[] = [];
for (const [name, run] of Object.entries(attempts)) {
  try {
    outcomes.push({ name: `${name}: ${await run()}` });
  } catch (error) {
    outcomes.push({ name, error: String(error) });
  }
}
await report(outcomes);
