import { createHash } from 'node:crypto';
import { baseUrl, type HubContext } from '../context.ts';
import type { HubExchange } from '../http/exchange.ts';
import type { Repo } from '../repo/repo.ts';
import { type RepoId, urlPrefix } from '../repo/repo-id.ts';
import type { Stored } from '../repo/stored.ts';
import { mayRead, maySee, readableBucket, readableRepo, visitor } from './access.ts';

const STYLE =
  'body{font:16px/1.5 system-ui,sans-serif;max-width:48rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}' +
  'pre{background:#eee;padding:.75rem;overflow:auto}td{padding:.1rem 1rem .1rem 0}' +
  '@media(prefers-color-scheme:dark){body{color:#ddd;background:#111}pre{background:#222}a{color:#8bf}}';

const HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy':
    `default-src 'none'; style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'; ` +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-store',
};

/** Rows of a page. There is no second one: whoever wants all of it asks the API. */
const MAX_ROWS = 1000;

/** `/`: the repositories that the visitor may know of, and how to use this Hub. */
export function sendStartPage(context: HubContext, exchange: HubExchange): Promise<void> {
  const who = visitor(context, exchange);
  const namesOf = (all: Iterable<Stored>) =>
    [...all]
      .filter((one) => maySee(one, who))
      .map(({ id }) => `${urlPrefix(id.type)}${id.name}`)
      .sort();
  const linked = (names: string[]) =>
    table(names.map((name) => `<tr><td><a href="/${encodePath(name)}">${escapeHtml(name)}</a>`));
  const repos = namesOf(context.repos.all());
  const buckets = namesOf(context.buckets.all());
  const list = repos.length === 0 ? '<p>There are no public repositories yet.' : linked(repos);
  const more = buckets.length === 0 ? '' : `<h2>Buckets</h2>${linked(buckets)}`;
  return sendPage(
    exchange,
    'Local Hub',
    `${usage(context, exchange, repos[0] ?? 'owner/model')}<h2>Repositories</h2>${list}${more}`,
  );
}

/** `/owner/name`: the files of the main branch. */
export async function sendRepoPage(context: HubContext, exchange: HubExchange, id: RepoId): Promise<void> {
  const repo = readableRepo(context, exchange, id);
  const name = `${urlPrefix(id.type)}${id.name}`;
  const readable = mayRead(repo, visitor(context, exchange));
  const rows = (await filesOf(repo)).map(([path, size]) => {
    const href = `/${encodePath(name)}/resolve/main/${encodePath(path)}`;
    const shown = readable ? `<a href="${escapeHtml(href)}">${escapeHtml(path)}</a>` : escapeHtml(path);
    return `<tr><td>${shown}<td>${size} B`;
  });
  await sendPage(exchange, name, `${usage(context, exchange, name)}<h2>Files</h2>${table(rows)}`);
}

/** `/buckets/owner/name`: the files of a bucket. */
export async function sendBucketPage(context: HubContext, exchange: HubExchange, id: RepoId): Promise<void> {
  const bucket = readableBucket(context, exchange, id);
  const name = `buckets/${id.name}`;
  const files = await bucket.files();
  const rows = (await bucket.paths()).map((path) => {
    const href = `/${encodePath(name)}/resolve/${encodePath(path)}`;
    return `<tr><td><a href="${escapeHtml(href)}">${escapeHtml(path)}</a><td>${files.get(path)?.size ?? 0} B`;
  });
  await sendPage(exchange, name, `${usage(context, exchange, name)}<h2>Files</h2>${table(rows)}`);
}

async function filesOf(repo: Repo): Promise<[string, number][]> {
  const head = await repo.resolve('main');
  return head === undefined ? [] : [...(await repo.tree(head))].map(([path, { size }]) => [path, size]);
}

function usage(context: HubContext, exchange: HubExchange, repo: string): string {
  const url = baseUrl(context, exchange);
  return `<pre>${escapeHtml(`export HF_ENDPOINT=${url}\nxetkit download ${repo}`)}</pre>`;
}

function table(rows: string[]): string {
  const more = rows.length > MAX_ROWS ? `<p>… and ${rows.length - MAX_ROWS} more` : '';
  return `<table>${rows.slice(0, MAX_ROWS).join('\n')}</table>${more}`;
}

/** Sends a page of the server's own. */
export function sendPage(exchange: HubExchange, title: string, content: string): Promise<void> {
  const page =
    `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">` +
    `<title>${escapeHtml(title)}</title><style>${STYLE}</style><h1>${escapeHtml(title)}</h1>${content}\n`;
  return exchange.send(200, HEADERS, page);
}

function encodePath(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/');
}

/** Text as content or attribute of a page. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}
