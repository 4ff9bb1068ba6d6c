import { opfsFiles, type XetClientOptions } from '../../../src/entries/index.ts';
import { equal } from '../equal.ts';
import { type Cases, clientOf, expectStored, failureOf, type Given, names, pause, stored } from './cases.ts';
import { hub, sent } from './page-hub.ts';

const MB = 1_000_000;
const REPO = 'owner/model';

/** Whole repositories, and files of them by name, in the page's own storage. */
export function repositories(given: Given): Cases {
  const all = Object.keys(given.files).sort();
  const total = Object.values(given.files).reduce((sum, { size }) => sum + size, 0);
  const within = async <T>(options: XetClientOptions, use: (client: ReturnType<typeof clientOf>) => Promise<T>) => {
    const client = clientOf(given, { files: opfsFiles, ...options });
    try {
      return await use(client);
    } finally {
      await client.close();
    }
  };
  const snapshot = (more = {}, options: XetClientOptions = {}) =>
    within(options, (client) =>
      client.snapshot({ repo: REPO, localDir: 'models/all', ignorePatterns: 'huge*', ...more }),
    );
  const kinds = async () => Object.keys((await hub()).bytes).sort();
  return {
    'a snapshot, and then only the question for the commit': async () => {
      let done = 0;
      const result = await snapshot({
        onProgress: ({ bytes }: { bytes: { done: number } }) => {
          done = bytes.done;
        },
      });
      equal([result.folder, result.files.map(({ path: file }) => file).sort(), done], ['models/all', all, total]);
      for (const name of all) await expectStored(given, name, `models/all/${name}`);
      equal(
        await names(),
        all.map((name) => `models/all/${name}`),
      );
      await hub({ reset: true });
      const again = await snapshot();
      equal([again.bytes, again.requests], [{ network: 0, cache: 0, local: total }, 1]);
      await hub({ reset: true });
      const pinned = await snapshot({ revision: result.commit });
      equal([pinned.requests, await kinds()], [0, []]);
    },
    'patterns select, a plan writes nothing, and a missing file is told of': async () => {
      const plan = await within({}, (client) =>
        client.planSnapshot({ repo: REPO, localDir: 'models/some', allowPatterns: '*.json' }),
      );
      equal([plan.files.map(({ path: file }) => file), await names()], [['config.json'], []]);
      await snapshot({ localDir: 'models/some', allowPatterns: ['*.json'] });
      equal(await names(), ['models/some/config.json']);
      equal((await failureOf(snapshot({ files: ['nothing.bin'] }))).code, 'ENTRY_NOT_FOUND');
    },
    'a snapshot that was stopped goes on where it stood': async () => {
      const stop = new AbortController();
      await hub({ reset: true, bytesPerSecond: 5 * MB });
      const onProgress = ({ bytes }: { bytes: { done: number } }) =>
        void (bytes.done > total * 0.5 && stop.abort(new Error('enough')));
      const stopped = await failureOf(snapshot({ signal: stop.signal, onProgress }, { concurrency: 2 }));
      equal(stopped.message, 'enough');
      await hub({ bytesPerSecond: 0 });
      const result = await snapshot();
      for (const name of all) await expectStored(given, name, `models/all/${name}`);
      equal(result.bytes.local > total * 0.2, true, `${result.bytes.local} of ${total} bytes were there`);
      equal((await sent()) < total * 1.25, true, `${await sent()} bytes were sent in all`);
    },
    'what is here serves without a server; what is not is OFFLINE': async () => {
      const { commit } = await snapshot({ allowPatterns: ['*.json', 'other.bin'] });
      await hub({ reset: true });
      for (const revision of ['main', commit]) {
        const here = await snapshot({ revision, allowPatterns: ['*.json', 'other.bin'] }, { offline: true });
        equal([here.commit, here.files.length, here.requests], [commit, 2, 0]);
        const file = await within({ offline: true }, (client) =>
          client.downloadFile({ repo: REPO, path: 'other.bin', revision, localDir: 'models/all' }),
        );
        equal([file.localPath, file.bytes.network, file.requests], ['models/all/other.bin', 0, 0]);
      }
      equal((await failureOf(snapshot({}, { offline: true }))).code, 'OFFLINE');
      const missing = within({ offline: true }, (client) =>
        client.downloadFile({ repo: REPO, path: 'large.bin', localDir: 'models/all' }),
      );
      equal((await failureOf(missing)).code, 'OFFLINE');
      equal(await kinds(), []);
      // The same while the Hub is away, with a warning.
      await hub({ fault: { kind: 'any', action: 'refuse', times: 1e9 } });
      const warnings: string[] = [];
      const options = { retry: { attempts: 2, baseDelayMs: 1 }, onWarning: (text: string) => void warnings.push(text) };
      const away = await snapshot({ allowPatterns: ['*.json', 'other.bin'] }, options);
      equal([away.commit, warnings.length], [commit, 1], warnings.join('; '));
      await hub({ clear: true });
    },
    'two at once fetch each file once': async () => {
      await hub({ reset: true, bytesPerSecond: 20 * MB });
      const results = await Promise.all([snapshot(), pause(50).then(() => snapshot())]);
      for (const name of all) await expectStored(given, name, `models/all/${name}`);
      equal(
        results.map(({ files }) => files.length),
        [all.length, all.length],
      );
      // A request that stands still for a moment may be made a second time.
      equal((await sent()) < total * 1.25, true, `${await sent()} of ${total} bytes were sent`);
      await hub({ bytesPerSecond: 0 });
    },
    'one file, at a commit without a request': async () => {
      for (const [name, how] of [
        ['config.json', 'git-sha1'],
        ['other.bin', 'xet'],
      ] as const) {
        const get = (revision?: string) =>
          within({}, (client) =>
            client.downloadFile({ repo: REPO, path: name, localDir: 'one', ...(revision && { revision }) }),
          );
        const { localPath: path, commit, verified } = await get();
        equal([path, verified], [`one/${name}`, how]);
        await expectStored(given, name, `one/${name}`);
        await hub({ reset: true });
        equal([(await get(commit)).requests, await kinds()], [0, []]);
      }
    },
    'no place to go to is told of': async () => {
      const placeless = within({}, (client) => client.downloadFile({ repo: REPO, path: 'config.json' }));
      equal((await failureOf(placeless)).code, 'INVALID_ARGUMENT');
      const outside = snapshot({ localDir: '../models' });
      equal((await failureOf(outside)).code, 'INVALID_ARGUMENT');
      const client = clientOf(given);
      const failure = await failureOf(client.downloadFile({ repo: REPO, path: 'config.json', localDir: 'one' }));
      equal([failure.code, /opfsFiles/.test(failure.message)], ['UNSUPPORTED', true]);
      await client.close();
      equal([await names(), await stored('one/config.json')], [[], undefined]);
    },
  };
}
