// @ts-check
// `npm run example`: the page in examples/browser, with a Hub on this machine to fetch from.
import { spawn } from 'node:child_process';
import { parseArgs } from 'node:util';
import { startExample } from '../examples/browser/serve.mjs';

const USAGE = `npm run example [-- OPTIONS]

  --open       opens the page in a browser
  --rate MB    what a connection to the local Hub gets a second, so that there is something to watch (default 8;
               0: all it can)
  --port N     port of the page (default: any that is free)`;

/** @param {string | undefined} text @param {number} otherwise */
function number(text, otherwise) {
  const value = text === undefined ? otherwise : Number(text);
  if (!(value >= 0)) throw new TypeError(`Not a number from 0 on: '${text}'`);
  return value;
}

/** @param {string} url */
function openBrowser(url) {
  const commands = /** @type {Record<string, [string, ...string[]]>} */ ({
    darwin: ['open', url],
    win32: ['cmd', '/c', 'start', '', url],
  });
  const [command, ...args] = commands[process.platform] ?? ['xdg-open', url];
  const child = spawn(command, args, { stdio: 'ignore', detached: true });
  const failed = () => console.log('No browser could be opened from here; open the address above.');
  child.on('error', failed);
  child.on('exit', (code) => code !== 0 && code !== null && failed());
  child.unref();
}

async function run() {
  const { values } = parseArgs({
    options: {
      open: { type: 'boolean' },
      rate: { type: 'string' },
      port: { type: 'string' },
      help: { type: 'boolean' },
    },
  });
  if (values.help) return console.log(USAGE);
  const bytesPerSecond = number(values.rate, 8) * 1e6;
  const starting = startExample({ bytesPerSecond, port: number(values.port, 0) });
  let stopping = false;
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM'])) {
    process.on(signal, async () => {
      // Whoever asks twice does not want to wait.
      if (stopping) process.exit(130);
      stopping = true;
      await (await starting).close();
      console.log('\nStopped; nothing is left behind.');
      process.exit(0);
    });
  }
  const { url, hub, repos } = await starting;
  if (stopping) return;
  console.log(`The page       ${url}`);
  console.log(`The local Hub  ${hub.url}/  with ${repos.join(', ')}`);
  if (bytesPerSecond > 0) console.log(`A connection gets ${bytesPerSecond / 1e6} MB a second; --rate 0 gives it all.`);
  console.log('Ctrl-C ends both.');
  if (values.open) openBrowser(url);
}

await run().catch((error) => {
  console.error(error instanceof Error ? error.message : error);
  if (error instanceof TypeError) console.error(`\n${USAGE}`);
  process.exitCode = error instanceof TypeError ? 2 : 1;
});
