// @ts-check
// The suite as a script: for Node, Deno and Bun. Takes what to expect as JSON.
import { runCases } from './suite.mjs';

const [, , expected = ''] = process.argv;
/** @param {string} entry */
const built = (entry) => import(`../../dist/${entry}.js`);
const { XetDownloader } = await built('download.node');
const xetkit = { ...(await built('node')), XetDownloader };
const failed = await runCases(xetkit, JSON.parse(expected), (line) => console.log(`     ${line}`));
process.exitCode = failed === 0 ? 0 : 1;
