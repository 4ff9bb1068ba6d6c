import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const PAGE = fileURLToPath(new URL('../../../docs/csp.md', import.meta.url));

/** The policies of docs/csp.md: for the package on one's own origin, and on another one. */
export async function documentedPolicies(): Promise<{ own: string; cdn: string }> {
  const blocks = (await readFile(PAGE, 'utf8')).matchAll(/```\n(default-src[^`]*)```/g);
  const [own, cdn] = Array.from(blocks, ([, policy = '']) => policy.replaceAll('\n', ' ').trim());
  if (!own || !cdn) throw new Error('docs/csp.md has no two policies.');
  return { own, cdn };
}
