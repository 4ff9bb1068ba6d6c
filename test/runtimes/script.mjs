// @ts-check
// The suite as a script: for Node, Deno and Bun. Takes what to expect as JSON.
import { XetDownloader } from '../../dist/download.node.js';
import * as xetkit from '../../dist/node.js';
import { runCases } from './suite.mjs';

const [, , expected = ''] = process.argv;
// The types of what was built are those of the entry for pages.
const all = /** @type {import('./suite.mjs').Xetkit} */ (/** @type {unknown} */ ({ ...xetkit, XetDownloader }));
const failed = await runCases(all, JSON.parse(expected), (line) => console.log(`     ${line}`));
process.exitCode = failed === 0 ? 0 : 1;
