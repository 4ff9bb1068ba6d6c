import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { chromium } from '../../browser/browsers.ts';
import type { Outcome } from './app/download.mjs';
import { browsersAtHand, Harness } from './harness.ts';
import { copyApp, htmlFor, PACKAGE_PATH } from './project.ts';

// A browser extension, unpacked as its author has it. Firefox installs none from the command line.

describe.skipIf(!browsersAtHand().includes(chromium))('an extension of Chromium', () => {
  let harness: Harness;
  const outcomes: { page?: Outcome; background?: Outcome } = {};

  beforeAll(async () => {
    harness = await Harness.start();
    const folder = await harness.project();
    await copyApp(folder, PACKAGE_PATH);
    await rename(join(folder, 'extension/manifest.json'), join(folder, 'manifest.json'));
    await writeFile(join(folder, 'page.html'), htmlFor('/page.mjs'));
    const page = harness.order();
    const background = harness.order();
    await writeFile(join(folder, 'orders.json'), JSON.stringify({ page: page.order, background: background.order }));
    const args = (profile: { folder: string }) => [
      // Builds that are meant for everybody would leave it out otherwise.
      '--disable-features=DisableLoadExtensionCommandLineSwitch',
      `--load-extension=${folder}`,
      ...chromium.args(profile, 'about:blank'),
    ];
    await harness.show(
      chromium,
      args,
      Promise.all([page.reported, background.reported]).then(([inPage, behind]) => {
        Object.assign(outcomes, { page: inPage, background: behind });
        return inPage;
      }),
    );
  });
  afterAll(() => harness.close());

  test('its page: decodes in workers', () => expect(outcomes.page).toEqual(harness.done('workers')));
  test('its service worker: has no workers, decodes on its thread', () => {
    expect(outcomes.background).toEqual(harness.done('thread'));
  });
});
