import { XetClient } from '../../../src/client/xet-client.ts';
import { type Progress, saveFile, type XetClientOptions } from '../../../src/entries/index.ts';
import { equal } from '../equal.ts';
import { hub, sent } from './page-hub.ts';

/** Parameters of a page. */
export interface Given {
  hub: string;
  files: Record<string, { size: number; sha256: string }>;
}

export type Cases = Record<string, () => Promise<void>>;

const MB = 1_000_000;
const REPO = 'owner/model';
const LARGE = 'large.bin';

export const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

export function clientOf(given: Given, options: XetClientOptions = {}): XetClient {
  return new XetClient({
    endpoint: given.hub,
    accessToken: '',
    chunkCache: false,
    recipes: { dir: crypto.randomUUID() },
    retry: { baseDelayMs: 10, maxDelayMs: 50 },
    ...options,
  });
}

async function sha256(bytes: ArrayBuffer): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

const root = () => navigator.storage.getDirectory();

async function folderOf(path: string): Promise<[FileSystemDirectoryHandle, string]> {
  const folders = path.split('/');
  const name = folders.pop() ?? '';
  let folder = await root();
  for (const part of folders) folder = await folder.getDirectoryHandle(part, { create: true });
  return [folder, name];
}

async function put(path: string, content: Uint8Array): Promise<void> {
  const [folder, name] = await folderOf(path);
  const stream = await (await folder.getFileHandle(name, { create: true })).createWritable();
  await stream.write(content.slice());
  await stream.close();
}

/** A file in the page's own storage, if it is there. */
export async function stored(path: string): Promise<File | undefined> {
  const [folder, name] = await folderOf(path);
  return folder.getFileHandle(name).then(
    (handle) => handle.getFile(),
    () => undefined,
  );
}

/** All names in the storage but those of notes. */
export async function names(folder: FileSystemDirectoryHandle | undefined = undefined, prefix = ''): Promise<string[]> {
  const found: string[] = [];
  for await (const [name, entry] of (folder ?? (await root())).entries()) {
    if (name === '.xetkit' && prefix === '') continue;
    if (entry.kind === 'file') found.push(`${prefix}${name}`);
    else found.push(...(await names(entry as FileSystemDirectoryHandle, `${prefix}${name}/`)));
  }
  return found.sort();
}

export async function clearStorage(): Promise<void> {
  const folder = await root();
  for await (const name of folder.keys()) await folder.removeEntry(name, { recursive: true }).catch(() => undefined);
}

export async function expectStored(given: Given, name: string, path: string): Promise<void> {
  const file = await stored(path);
  const { size, sha256: hash } = given.files[name] ?? { size: -1, sha256: '' };
  equal([file?.size, file && (await sha256(await file.arrayBuffer()))], [size, hash], path);
}

export async function failureOf(work: Promise<unknown>): Promise<{ code?: string; message: string }> {
  return work.then(
    () => ({ message: 'nothing failed' }),
    (error) => error,
  );
}

/** Saves until this many bytes have arrived, then aborts. Returns the error. */
async function saveInPart(given: Given, target: Parameters<typeof saveFile>[1], name = LARGE): Promise<void> {
  const client = clientOf(given, { concurrency: 2 });
  const { size = 0 } = given.files[name] ?? {};
  const stop = new AbortController();
  const reason = new Error('enough');
  await hub({ bytesPerSecond: 4 * MB });
  const file = await client.open({ repo: REPO, path: name });
  const failure = await failureOf(
    saveFile(file, target, {
      signal: stop.signal,
      onProgress: ({ bytes }) => {
        if (bytes.done < size * 0.6 || stop.signal.aborted) return;
        stop.abort(reason);
      },
    }),
  );
  equal(failure === (reason as unknown), true, `it ended with ${failure.message}`);
  await hub({ bytesPerSecond: 0 });
  await client.close();
}

/** Cases for every way to write a file in the page's storage. */
export function inStorage(given: Given, inPlace: boolean): Cases {
  const { size } = given.files[LARGE] ?? { size: 0 };
  const save = async (path: string, name = LARGE, more: Parameters<typeof saveFile>[2] = {}, options = {}) => {
    const client = clientOf(given, options);
    try {
      return await saveFile(await client.open({ repo: REPO, path: name }), { opfs: path }, more);
    } finally {
      await client.close();
    }
  };
  const leftovers = inPlace
    ? ['m/a.bin.xetkit-journal.incomplete', 'm/a.bin.xetkit.incomplete']
    : ['m/a.bin.xetkit-parts.incomplete/of'];
  return {
    'a file is saved with progress, and saving it again does nothing': async () => {
      const seen: Progress[] = [];
      const result = await save('models/deep/a.bin', LARGE, { onProgress: (progress) => void seen.push(progress) });
      await expectStored(given, LARGE, 'models/deep/a.bin');
      equal([result.localPath, result.size, result.verified], ['models/deep/a.bin', size, 'xet']);
      equal(result.bytes.network > size * 0.9 && result.requests > 2, true, 'what it took is told');
      equal(seen.at(-1)?.bytes, { done: size, total: size, network: result.bytes.network, cache: 0, local: 0 });
      equal(await names(), ['models/deep/a.bin'], 'nothing else is left');
      await hub({ reset: true });
      const again = await save('models/deep/a.bin');
      equal([again.verified, again.bytes], ['xet', { network: 0, cache: 0, local: size }]);
      equal(await sent(), 0);
      // A touched file is verified again.
      const bytes = new Uint8Array((await (await stored('models/deep/a.bin'))?.arrayBuffer()) ?? []);
      await pause(20);
      await put('models/deep/a.bin', bytes);
      equal((await save('models/deep/a.bin')).bytes.network, 0);
      // And now it is another one, of the same length.
      bytes[size >> 1] = (bytes[size >> 1] ?? 0) ^ 1;
      await pause(20);
      await put('models/deep/a.bin', bytes);
      equal((await save('models/deep/a.bin')).bytes.network > size * 0.9, true);
      await expectStored(given, LARGE, 'models/deep/a.bin');
    },
    'files of all kinds are saved': async () => {
      for (const name of Object.keys(given.files)) {
        const result = await save(`all/${name}`, name);
        await expectStored(given, name, `all/${name}`);
        equal(result.verified, name.endsWith('.json') || result.size === 0 ? 'git-sha1' : 'xet', name);
      }
      equal(
        await names(),
        Object.keys(given.files)
          .map((name) => `all/${name}`)
          .sort(),
      );
    },
    'an aborted save resumes': async () => {
      await hub({ reset: true });
      await saveInPart(given, { opfs: 'm/a.bin' });
      equal(await stored('m/a.bin'), undefined, 'it has no name yet');
      const before = await names();
      for (const name of leftovers) equal(before.includes(name), true, `${name} is there`);
      const result = await save('m/a.bin');
      await expectStored(given, LARGE, 'm/a.bin');
      equal(result.bytes.local > size * 0.3, true, `${result.bytes.local} bytes were there`);
      equal(result.bytes.local + result.bytes.network < size * 1.02, true, 'nothing was fetched twice');
      // A request that stands still for a moment may be made a second time.
      equal((await sent()) < size * 1.25, true, `${await sent()} bytes were sent in all`);
      equal(await names(), ['m/a.bin']);
    },
    'an aborted save can be restarted with force': async () => {
      await saveInPart(given, { opfs: 'm/a.bin' });
      const result = await save('m/a.bin', LARGE, { force: true });
      equal(result.bytes.network > size * 0.9 && result.bytes.local === 0, true);
      await expectStored(given, LARGE, 'm/a.bin');
      equal((await save('m/a.bin', LARGE, { force: true })).bytes.network > size * 0.9, true);
    },
    'damage to a partial file is found, and only that part is fetched again': async () => {
      await saveInPart(given, { opfs: 'm/a.bin' });
      const victim = inPlace
        ? 'm/a.bin.xetkit.incomplete'
        : ((await names()).find((name) => /incomplete\/\d+$/.test(name)) ?? '');
      const bytes = new Uint8Array((await (await stored(victim))?.arrayBuffer()) ?? []);
      bytes.fill(7, 1_000_000, 1_000_010);
      await put(victim, bytes);
      const result = await save('m/a.bin');
      await expectStored(given, LARGE, 'm/a.bin');
      equal(result.bytes.local > size * 0.15, true, `${result.bytes.local} bytes were there`);
    },
    'invalid journals, and journals of other files, are ignored': async () => {
      await saveInPart(given, { opfs: 'm/a.bin' });
      const note = inPlace ? 'm/a.bin.xetkit-journal.incomplete' : 'm/a.bin.xetkit-parts.incomplete/of';
      await put(note, new TextEncoder().encode('{"xetkit":1,"etag":"other"}\n'));
      equal((await save('m/a.bin')).bytes.local, 0);
      await expectStored(given, LARGE, 'm/a.bin');
      await saveInPart(given, { opfs: 'm/b.bin' }, 'other.bin');
      const garbage = inPlace
        ? ['m/b.bin.xetkit-journal.incomplete']
        : (await names()).filter((name) => /incomplete\/\d+$/.test(name));
      for (const name of garbage) {
        const bytes = new Uint8Array((await (await stored(name))?.arrayBuffer()) ?? []);
        bytes.fill(255, bytes.length >> 1);
        await put(name, bytes);
      }
      await save('m/b.bin', 'other.bin');
      await expectStored(given, 'other.bin', 'm/b.bin');
      // Another file where this one was begun.
      await saveInPart(given, { opfs: 'm/c.bin' });
      equal((await save('m/c.bin', 'other.bin')).bytes.local, 0);
      await expectStored(given, 'other.bin', 'm/c.bin');
    },
    'corrupt data is fetched once more, and is never saved': async () => {
      await hub({ fault: { kind: 'xorb', action: 'corrupt', offset: 70_000, times: 1 } });
      await save('m/a.bin');
      await expectStored(given, LARGE, 'm/a.bin');
      await put('m/b.bin', Uint8Array.of(1, 2, 3));
      await hub({ fault: { kind: 'xorb', action: 'corrupt', offset: 70_000, times: 1e9 } });
      equal((await failureOf(save('m/b.bin'))).code, 'INTEGRITY');
      equal(await names(), ['m/a.bin', 'm/b.bin'], 'no start for another try');
      equal((await stored('m/b.bin'))?.size, 3, 'the file that was there is as it was');
      await hub({ clear: true });
      await save('m/b.bin');
      await expectStored(given, LARGE, 'm/b.bin');
    },
    'a save falls back to plain HTTP, and resumes earlier progress': async () => {
      await hub({ fault: { kind: 'xorb', action: 'status', status: 500, times: 1e9, after: 3 } });
      const result = await save('m/a.bin', LARGE, {}, { retry: { attempts: 2, baseDelayMs: 1 }, concurrency: 1 });
      equal(result.verified, 'sha256');
      await expectStored(given, LARGE, 'm/a.bin');
      await hub({ clear: true });
      const stop = new AbortController();
      await hub({ bytesPerSecond: 8 * MB });
      const plain = save(
        'm/b.bin',
        LARGE,
        {
          signal: stop.signal,
          onProgress: ({ bytes }) => void (bytes.done > size / 2 && stop.abort(new Error('enough'))),
        },
        { xet: false },
      );
      equal((await failureOf(plain)).message, 'enough');
      await hub({ bytesPerSecond: 0, reset: true });
      const rest = await save('m/b.bin', LARGE, {}, { xet: false });
      equal([rest.verified, rest.bytes.local > size * 0.3], ['sha256', true], `${rest.bytes.local} bytes were there`);
      await expectStored(given, LARGE, 'm/b.bin');
    },
    'two saves of a file fetch it once, and aborting one does not affect the other': async () => {
      await hub({ reset: true, bytesPerSecond: 14 * MB });
      const warnings: string[] = [];
      // Either may be the one that waits.
      const options = { concurrency: 1, onWarning: (text: string) => void warnings.push(text) };
      const client = clientOf(given, options);
      const second = clientOf(given, options);
      const stop = new AbortController();
      const [one, two, three] = await Promise.all([
        client.open({ repo: REPO, path: LARGE }).then((file) => saveFile(file, { opfs: 'm/a.bin' })),
        second.open({ repo: REPO, path: LARGE }).then((file) => saveFile(file, { opfs: 'm/a.bin' })),
        second
          .open({ repo: REPO, path: LARGE })
          .then((file) => failureOf(saveFile(file, { opfs: 'm/a.bin' }, { signal: stop.signal }))),
        pause(300).then(() => stop.abort(new Error('enough'))),
      ]);
      equal([one.bytes.network > 0, two.bytes.network > 0].sort(), [false, true]);
      equal(three.message, 'enough');
      // A request that stands still for a moment may be made a second time.
      equal((await sent()) < size * 1.25, true, `${await sent()} bytes were sent`);
      equal(
        warnings.some((text) => /waiting/.test(text)),
        true,
        'it is told that one waits',
      );
      await expectStored(given, LARGE, 'm/a.bin');
      await Promise.all([client.close(), second.close()]);
    },
    'closing the client ends a save, and keeps its progress': async () => {
      await hub({ bytesPerSecond: 8 * MB });
      const client = clientOf(given, { concurrency: 2 });
      const file = await client.open({ repo: REPO, path: LARGE });
      const onProgress = ({ bytes }: Progress) => void (bytes.done > size / 2 && client.close());
      equal((await failureOf(saveFile(file, { opfs: 'm/a.bin' }, { onProgress }))).code, 'CLOSED');
      await hub({ bytesPerSecond: 0 });
      equal((await save('m/a.bin')).bytes.local > size * 0.2, true);
    },
    'an invalid path is refused': async () => {
      await put('file', new Uint8Array(1));
      await folderOf('folder/x');
      equal((await failureOf(save('file/a.bin'))).code, 'CONFLICT');
      equal((await failureOf(save('folder'))).code, 'CONFLICT');
      for (const path of ['', '/', 'a/', '../a', 'a//b', './a']) {
        equal((await failureOf(save(path))).code, 'INVALID_ARGUMENT', `'${path}'`);
      }
      const client = clientOf(given);
      const file = await client.open({ repo: REPO, path: LARGE });
      equal((await failureOf(saveFile(file.slice(1), { opfs: 'a' }))).code, 'INVALID_ARGUMENT');
      await client.close();
    },
  };
}

/** A file as the user would have picked it, outside of the page's own storage. */
class Picked {
  readonly kind = 'file';
  readonly name = 'picked.bin';
  content = new Blob([Uint8Array.of(1, 2, 3)]);
  /** State of the written data. */
  readonly ends: string[] = [];
  permission = 'granted';

  getFile = async () => this.content;

  queryPermission = async () => this.permission;

  createWritable = async () => {
    const parts: Blob[] = [];
    return new WritableStream<Uint8Array>({
      write: (bytes) => void parts.push(new Blob([bytes.slice()])),
      close: () => {
        this.content = new Blob(parts);
        this.ends.push('closed');
      },
      abort: () => void this.ends.push('aborted'),
    });
  };
}

/** Files that are handed over, and streams. */
export function elsewhere(given: Given): Cases {
  const { size, sha256: hash } = given.files[LARGE] ?? { size: 0, sha256: '' };
  const opened = async (options = {}) => {
    const client = clientOf(given, options);
    return { client, file: await client.open({ repo: REPO, path: LARGE }) };
  };
  return {
    "a handle of the page's own storage": async () => {
      const { client, file } = await opened();
      const [folder, name] = await folderOf('handles/a.bin');
      const handle = await folder.getFileHandle(name, { create: true });
      equal((await saveFile(file, handle)).localPath, 'handles/a.bin');
      await expectStored(given, LARGE, 'handles/a.bin');
      equal((await saveFile(file, { opfs: 'handles/a.bin' })).bytes.network, 0);
      await client.close();
    },
    'a picked file is written completely or left unchanged': async () => {
      const picked = new Picked();
      await hub({ reset: true });
      await saveInPart(given, picked);
      equal([picked.content.size, picked.ends], [3, []]);
      const { client, file } = await opened();
      const result = await saveFile(file, picked);
      equal([result.localPath, result.verified, picked.ends], ['picked.bin', 'xet', ['closed']]);
      equal(await sha256(await picked.content.arrayBuffer()), hash);
      equal((await sent()) < size * 1.25, true, 'it went on where it stood');
      equal((await saveFile(file, picked)).bytes.network, 0, 'it is recognised');
      const saving = await (await (await root()).getDirectoryHandle('.xetkit')).getDirectoryHandle('saving');
      equal(await names(saving, 'x/'), [], 'nothing is left behind');
      await client.close();
    },
    'corrupt data is never written to a picked file': async () => {
      const picked = new Picked();
      await hub({ fault: { kind: 'xorb', action: 'corrupt', offset: 70_000, times: 1e9 } });
      const { client, file } = await opened();
      equal((await failureOf(saveFile(file, picked))).code, 'INTEGRITY');
      equal([picked.content.size, picked.ends], [3, []]);
      await client.close();
    },
    'a picked file without write permission fails at once': async () => {
      const picked = new Picked();
      picked.permission = 'prompt';
      const { client, file } = await opened();
      await hub({ reset: true });
      equal((await failureOf(saveFile(file, picked))).code, 'PERMISSION');
      equal((await hub()).bytes, {});
      await client.close();
    },
    'a stream is closed after a complete save': async () => {
      const parts: Blob[] = [];
      const ends: unknown[] = [];
      const seen: Progress[] = [];
      const target = new WritableStream<Uint8Array>({
        write: (bytes) => void parts.push(new Blob([bytes.slice()])),
        close: () => void ends.push('closed'),
        abort: (reason) => void ends.push(reason),
      });
      const { client, file } = await opened();
      const result = await saveFile(file, target, { onProgress: (progress) => void seen.push(progress) });
      equal([result.localPath, result.verified, result.bytes.network > size * 0.9], ['', 'xet', true]);
      equal([ends, seen.at(-1)?.bytes.done], [['closed'], size]);
      equal(await sha256(await new Blob(parts).arrayBuffer()), hash);
      await client.close();
    },
    'a stream is aborted after a failed save': async () => {
      const ends: unknown[] = [];
      const makeTarget = (onWrite: (bytes: Uint8Array) => void = () => undefined) =>
        new WritableStream<Uint8Array>({
          write: (bytes) => onWrite(bytes),
          close: () => void ends.push('closed'),
          abort: (reason) => void ends.push(reason.code ?? reason.message),
        });
      const { client, file } = await opened();
      await hub({ fault: { kind: 'xorb', action: 'corrupt', offset: 70_000, times: 1e9 } });
      equal((await failureOf(saveFile(file, makeTarget()))).code, 'INTEGRITY');
      await hub({ clear: true });
      const stop = new AbortController();
      let written = 0;
      const target = makeTarget((bytes) => {
        written += bytes.length;
        if (written > size / 2) stop.abort(new Error('enough'));
      });
      equal((await failureOf(saveFile(file, target, { signal: stop.signal }))).message, 'enough');
      equal(ends, ['INTEGRITY', 'enough']);
      await client.close();
    },
  };
}

/** A file is put together without the memory for it: what is in flight stays within the budget. */
export function withinMemory(given: Given): Cases {
  return {
    'a save stays within the memory budget': async () => {
      const client = clientOf(given, { memoryBudget: 16 * 1024 * 1024 });
      await saveFile(await client.open({ repo: REPO, path: LARGE }), { opfs: 'm/a.bin' });
      const { peakBytes, limitBytes } = client.metrics().memory;
      equal(peakBytes <= limitBytes, true, `${peakBytes} of ${limitBytes}`);
      await expectStored(given, LARGE, 'm/a.bin');
      await client.close();
    },
  };
}

/** For a site that may keep less than the file has. */
export function withLittleRoom(given: Given): Cases {
  return {
    'a file that exceeds the quota is QUOTA at once, with advice': async () => {
      const client = clientOf(given);
      const file = await client.open({ repo: REPO, path: LARGE });
      await hub({ reset: true });
      const failure = await failureOf(saveFile(file, { opfs: 'm/a.bin' }));
      equal(failure.code, 'QUOTA', failure.message);
      equal(/no room for 'm\/a\.bin': it has \d+ MB.*persist\(\)/.test(failure.message), true, failure.message);
      equal(await sent(), 0, 'nothing was fetched for it');
      equal(await names(), []);
      await client.close();
    },
    'a quota that is used up during a save is QUOTA, and progress is kept': async () => {
      const client = clientOf(given, { concurrency: 1 });
      await hub({ bytesPerSecond: 1.5 * MB });
      const file = await client.open({ repo: REPO, path: 'other.bin' });
      let filling: Promise<unknown> | undefined;
      const fill = async () => {
        for (let index = 0; index < 40; index++) await put(`filler/${index}`, new Uint8Array(MB));
      };
      const onProgress = ({ bytes }: Progress) => {
        if (bytes.done > MB) filling ??= failureOf(fill());
      };
      const failure = await failureOf(saveFile(file, { opfs: 'm/b.bin' }, { onProgress }));
      // Chromium sets aside what a file was once as long as.
      if (failure.code === undefined) equal((await filling) !== undefined, true);
      else equal(failure.code, 'QUOTA', failure.message);
      await filling;
      await (await root()).removeEntry('filler', { recursive: true });
      await hub({ bytesPerSecond: 0 });
      const result = await saveFile(file, { opfs: 'm/b.bin' });
      equal(result.bytes.local > MB, true, 'it went on');
      await expectStored(given, 'other.bin', 'm/b.bin');
      await client.close();
    },
  };
}
