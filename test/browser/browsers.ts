import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Profile {
  folder: string;
  /** Quota of all sites in bytes, for browsers that read it from the profile. */
  quotaBytes?: number;
}

export interface BrowserKind {
  name: string;
  /** Undefined if the browser is not installed. */
  command: string | undefined;
  /** Arguments to open one page. */
  args(profile: Profile, url: string): string[];
  /** Arguments to open one page in a private window. */
  privateArgs(profile: Profile, url: string): string[];
}

const first = (...paths: string[]) => paths.find((path) => existsSync(path));

export const CHROMIUM_FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--autoplay-policy=no-user-gesture-required',
];

export const chromium: BrowserKind = {
  name: 'Chromium',
  command: first('/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'),
  args: ({ folder }, url) => [
    '--headless',
    ...CHROMIUM_FLAGS,
    `--user-data-dir=${folder}`,
    '--remote-debugging-port=0',
    url,
  ],
  privateArgs: (profile, url) => ['--incognito', ...chromium.args(profile, url)],
};

export const firefox: BrowserKind = {
  name: 'Firefox',
  command: first('/usr/bin/firefox-esr', '/usr/bin/firefox'),
  args: ({ folder }, url) => ['--headless', '--no-remote', '--profile', folder, url],
  privateArgs: ({ folder }, url) => ['--headless', '--no-remote', '--profile', folder, '--private-window', url],
};

/** An empty profile. */
export async function makeProfile(options: { quotaBytes?: number } = {}): Promise<Profile> {
  const folder = await mkdtemp(join(tmpdir(), 'xetkit-browser-'));
  const settings: Record<string, unknown> = {
    'browser.sessionstore.resume_from_crash': false,
    'browser.shell.checkDefaultBrowser': false,
    'datareporting.policy.dataSubmissionEnabled': false,
  };
  if (options.quotaBytes) settings['dom.quotaManager.temporaryStorage.fixedLimit'] = options.quotaBytes / 1024;
  const lines = Object.entries(settings).map(([name, value]) => `user_pref("${name}", ${JSON.stringify(value)});`);
  await writeFile(join(folder, 'user.js'), lines.join('\n'));
  return { folder, ...options };
}

export async function removeProfile({ folder }: Profile): Promise<void> {
  // Processes of a killed browser may still release files.
  await rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 });
}

export interface Running {
  /** Kills the browser and all its processes, like a crash. */
  kill(): Promise<void>;
}

export function startBrowser(command: string, args: string[], { folder }: Profile): Running {
  const child: ChildProcess = spawn(command, args, {
    stdio: 'ignore',
    // A process group of its own, so that all its processes can be killed together.
    detached: true,
    env: { ...process.env, HOME: folder, MOZ_DISABLE_AUTO_SAFE_MODE: '1', MOZ_CRASHREPORTER_DISABLE: '1' },
  });
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', () => resolve());
  });
  return {
    async kill() {
      if (child.pid === undefined) return;
      try {
        process.kill(-child.pid, 'SIGKILL');
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      }
      await ended;
    },
  };
}
