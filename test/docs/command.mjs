// @ts-check
// The command as guides call it. `serve` ends as soon as it serves: it would wait for Ctrl-C.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const args = process.argv.slice(2);
const serves = args[0] === 'serve' && !args.includes('--help');
const child = spawn(process.execPath, [fileURLToPath(new URL('../../dist/cli.js', import.meta.url)), ...args], {
  stdio: ['inherit', serves ? 'pipe' : 'inherit', 'inherit'],
});
child.stdout?.once('data', (chunk) => {
  process.stdout.write(chunk);
  child.kill('SIGINT');
});
child.on('exit', (code) => {
  process.exitCode = code ?? 1;
});
