// @ts-check
// The suite as a script: for Node, Deno and Bun. Takes what to expect as JSON.
import { runCases } from './suite.mjs';

const [, , expected = ''] = process.argv;
/** @param {string} entry */
const built = (entry) => import(`../../dist/${entry}.js`);
const { XetReader } = await built('read.node');
const xetkit = { ...(await built('node')), XetReader };
const failed = await runCases(xetkit, JSON.parse(expected), (line) => console.log(`     ${line}`));
process.exitCode = failed === 0 ? 0 : 1;
