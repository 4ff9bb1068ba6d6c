import { createHash } from 'node:crypto';
import { type LocalHub, startLocalHub } from 'xetkit/local-hub';
import {
  type BrowserKind,
  chromium,
  firefox,
  makeProfile,
  removeProfile,
  startBrowser,
} from '../../browser/browsers.ts';
import { randomBytes } from '../../support/samples.ts';
import type { Order, Outcome } from './app/download.mjs';
import { makeProject, packPackage, removeFolder } from './project.ts';
import { type Reports, type Site, type SiteOptions, startReports, startSite } from './site.ts';

/** Set where all that is needed must be there: what is missing then fails. */
export const required = Boolean(process.env.CI) || process.env.XETKIT_BROWSERS === 'required';

const REPORT_TIMEOUT_MS = 60_000;
const FILE = { repo: 'owner/model', path: 'noise.bin' };

/** The browsers that are here; says which are not. */
export function browsersAtHand(): BrowserKind[] {
  const kinds = [chromium, firefox];
  for (const { name, command } of kinds) {
    if (command !== undefined) continue;
    if (required) throw new Error(`${name} is not installed.`);
    console.warn(`MISSING ${name}: nothing is tested in it.`);
  }
  return kinds.filter(({ command }) => command !== undefined);
}

/** A packed package, a Hub with a file, and all that was opened for the tests of one file. */
export class Harness {
  readonly hub: LocalHub;
  readonly #packed: string;
  readonly #reports: Reports;
  readonly #digest: string;
  readonly #cleanUps: (() => Promise<void>)[];

  private constructor(
    hub: LocalHub,
    packed: string,
    reports: Reports,
    digest: string,
    cleanUps: (() => Promise<void>)[],
  ) {
    this.hub = hub;
    this.#packed = packed;
    this.#reports = reports;
    this.#digest = digest;
    this.#cleanUps = cleanUps;
  }

  static async start(): Promise<Harness> {
    const bytes = randomBytes(3_000_000, 1);
    const hub = await startLocalHub();
    await hub.commitFiles(FILE.repo, { [FILE.path]: bytes }, { xet: 'always' });
    const { folder, remove } = await packPackage();
    const reports = await startReports();
    const digest = createHash('sha256').update(bytes).digest('hex');
    return new Harness(hub, folder, reports, digest, [() => hub.close(), remove, () => reports.close()]);
  }

  async close(): Promise<void> {
    for (const cleanUp of this.#cleanUps.reverse()) await cleanUp();
  }

  /** Where pages report to: a policy must let them. */
  get reportOrigin(): string {
    return this.#reports.origin;
  }

  onClose(cleanUp: () => Promise<void>): void {
    this.#cleanUps.push(cleanUp);
  }

  /** An empty project with the package installed. */
  async project(): Promise<string> {
    const folder = await makeProject(this.#packed);
    this.onClose(() => removeFolder(folder));
    return folder;
  }

  async site(folder: string, options?: SiteOptions): Promise<Site> {
    const site = await startSite(folder, options);
    this.onClose(() => site.close());
    return site;
  }

  /** Something to do, and how it went when it is done. */
  order(): { order: Order; reported: Promise<Outcome> } {
    const { url, reported } = this.#reports.next();
    return { order: { endpoint: this.hub.url, ...FILE, report: url }, reported };
  }

  /** Opens a page in a browser and gives what it reports. */
  async visit(browser: BrowserKind, page: string): Promise<Outcome> {
    const { order, reported } = this.order();
    const url = `${page}?${new URLSearchParams({ order: JSON.stringify(order) })}`;
    return this.show(browser, (profile) => browser.args(profile, url), reported);
  }

  /** Starts a browser and waits for what somebody in it reports. */
  async show(browser: BrowserKind, args: (profile: { folder: string }) => string[], reported: Promise<Outcome>) {
    const profile = await makeProfile();
    const running = startBrowser(browser.command ?? '', args(profile), profile);
    let timer: NodeJS.Timeout | number | undefined;
    try {
      const timeout = new Promise<Outcome>((resolve) => {
        timer = setTimeout(resolve, REPORT_TIMEOUT_MS, { error: `${browser.name} did not report` });
      });
      return await Promise.race([reported, timeout]);
    } finally {
      clearTimeout(timer);
      await running.kill();
      await removeProfile(profile);
    }
  }

  /** What a page reports that got its file decoded in workers, or on its own thread. */
  done(where: 'workers' | 'thread'): Outcome {
    return { digest: this.#digest, decodedIn: where, warnings: [] };
  }
}
