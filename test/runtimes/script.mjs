// @ts-check
// The suite as a script: for Node, Deno and Bun. Takes what to expect as JSON, and which build to try.
import { runCases } from './suite.mjs';

const [, , expected = '', build = '../../dist/node.js'] = process.argv;
const failed = await runCases(await import(build), JSON.parse(expected), (line) => console.log(`     ${line}`));
process.exitCode = failed === 0 ? 0 : 1;
