import { formatBytes, formatCount } from '../units.ts';
import type { FileLayout, TermLayout } from './layout.ts';

/** Cells of the map: each is an equal part of the file. */
const COLUMNS = 64;
const MAX_ROWS = 24;
/** Terms listed at most; the JSON output has them all. */
const MAX_TERM_ROWS = 200;

/** Content of a page about a file. */
export interface PageContent {
  title: string;
  /** Lines about the file: a word and its value. */
  facts: readonly (readonly [string, string])[];
  layout: FileLayout;
  /** Name of the file it was compared with. */
  against: string | undefined;
}

/** A page with the map of a file. It needs no other file, no script and no network. */
export function pageOf({ title, facts, layout, against }: PageContent): string {
  const order = new Map(layout.xorbs.map(({ xorb }, index) => [xorb, index]));
  const rows = facts.map(([name, value]) => `<dt>${escaped(name)}</dt><dd>${escaped(value)}</dd>`).join('');
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>${escaped(title)}</h1>
<dl>${rows}</dl>
<h2>Map</h2>
<p>Each cell is ${escaped(formatBytes(cellBytes(layout)))} of the file, in order. Its colour stands for its xorb.${legend(against)}</p>
${mapOf(layout, order)}
<h2>Xorbs</h2>
<table><thead><tr><th></th><th>Xorb</th><th>Terms</th><th>Chunks</th><th>Content</th><th>Stored</th><th>Ratio</th></tr></thead>
<tbody>${layout.xorbs
    .map(
      ({ xorb, terms, chunks, bytes, storedBytes }, index) =>
        `<tr><td><svg class="key" viewBox="0 0 1 1" aria-hidden="true"><rect width="1" height="1" fill="${colour(index)}"/></svg></td>${cells(
          [
            xorb,
            String(terms),
            String(chunks),
            formatBytes(bytes),
            formatBytes(storedBytes),
            ratio(storedBytes, bytes),
          ],
        )}</tr>`,
    )
    .join('\n')}</tbody></table>
<h2>Terms</h2>
<table><thead><tr><th></th><th>Xorb</th><th>Offset</th><th>Length</th><th>Chunks</th><th>Local</th>${against === undefined ? '' : '<th>Shared</th>'}</tr></thead>
<tbody>${layout.terms
    .slice(0, MAX_TERM_ROWS)
    .map((term) => {
      const { at, bytes, xorb, chunks, localBytes, sharedBytes } = term;
      return `<tr><td><svg class="key" viewBox="0 0 1 1" aria-hidden="true"><rect width="1" height="1" fill="${colour(order.get(xorb) ?? 0)}"/></svg></td>${cells(
        [
          `${xorb.slice(0, 12)}…`,
          String(at),
          formatBytes(bytes),
          `${chunks.start}–${chunks.end}`,
          ratio(localBytes, bytes),
          ...(sharedBytes === undefined ? [] : [ratio(sharedBytes, bytes)]),
        ],
      )}</tr>`;
    })
    .join('\n')}</tbody></table>
${layout.terms.length > MAX_TERM_ROWS ? `<p>${formatCount(layout.terms.length - MAX_TERM_ROWS, 'more term')}; <code>--json</code> lists all of them.</p>` : ''}
</main>
</body>
</html>
`;
}

/** Part of a whole as a percentage. */
export function ratio(part: number, whole: number): string {
  return whole === 0 ? '-' : `${Math.round((part / whole) * 100)} %`;
}

function legend(against: string | undefined): string {
  const local = ' A bar at the foot of a cell: the bytes are on this machine.';
  return against === undefined ? local : `${local} A dot: ${escaped(against)} has them too.`;
}

const cellCount = ({ size }: FileLayout) => Math.max(1, Math.min(COLUMNS * MAX_ROWS, Math.ceil(size / 65_536)));
const cellBytes = (layout: FileLayout) => Math.ceil(layout.size / cellCount(layout));

function mapOf(layout: FileLayout, order: ReadonlyMap<string, number>): string {
  const count = cellCount(layout);
  const rows = Math.ceil(count / COLUMNS);
  const drawn: string[] = [];
  let term = 0;
  for (let cell = 0; cell < count; cell++) {
    const middle = ((cell + 0.5) * layout.size) / count;
    while (term < layout.terms.length - 1 && endOf(layout.terms[term]) <= middle) term++;
    const here = layout.terms[term];
    if (here) drawn.push(cellOf(here, order.get(here.xorb) ?? 0, cell % COLUMNS, Math.floor(cell / COLUMNS)));
  }
  return `<svg class="map" viewBox="0 0 ${COLUMNS} ${rows}" role="img" aria-label="Map of the file by xorb">${drawn.join('')}</svg>`;
}

const endOf = (term: TermLayout | undefined) => (term ? term.at + term.bytes : 0);

function cellOf(term: TermLayout, index: number, x: number, y: number): string {
  const local = term.localBytes * 2 >= term.bytes;
  const shared = term.sharedBytes !== undefined && term.sharedBytes * 2 >= term.bytes;
  const title = [
    `xorb ${term.xorb.slice(0, 12)}…, chunks ${term.chunks.start}–${term.chunks.end}`,
    ...(local ? ['on this machine'] : []),
    ...(shared ? ['shared'] : []),
  ].join(', ');
  return (
    `<g transform="translate(${x} ${y})"><title>${escaped(title)}</title>` +
    `<rect x=".06" y=".06" width=".88" height=".88" fill="${colour(index)}"/>` +
    (local ? '<rect class="mark" x=".06" y=".76" width=".88" height=".18"/>' : '') +
    (shared ? '<circle class="mark" cx=".5" cy=".42" r=".16"/>' : '') +
    '</g>'
  );
}

/** Hues far apart for neighbours. */
const colour = (index: number) => `hsl(${Math.round((index * 137.508 + 200) % 360)} 60% 55%)`;

const cells = (texts: readonly string[]) => texts.map((text) => `<td>${escaped(text)}</td>`).join('');

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (char) => ENTITIES[char] ?? char);
}

const STYLE = `
:root{color-scheme:light dark;--text:#1c2128;--back:#fff;--line:#d0d7de;--mark:#101418}
@media(prefers-color-scheme:dark){:root{--text:#e6edf3;--back:#0d1117;--line:#30363d;--mark:#f6f8fa}}
body{margin:0;background:var(--back);color:var(--text);font:15px/1.5 system-ui,sans-serif}
main{max-width:72rem;margin:auto;padding:1.5rem 1rem}
h1{font-size:1.35rem;overflow-wrap:anywhere}h2{font-size:1.1rem;margin-top:2rem}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1.2rem}dt{opacity:.75}dd{margin:0;overflow-wrap:anywhere}
.map{width:100%;height:auto;forced-color-adjust:none}.mark{fill:var(--mark)}
table{border-collapse:collapse;display:block;overflow-x:auto;font-size:.9rem}
th,td{text-align:right;padding:.2rem .7rem;border-bottom:1px solid var(--line);white-space:nowrap}
th:nth-child(2),td:nth-child(2){text-align:left;font:.95em ui-monospace,monospace}
.key{width:.9em;height:.9em;vertical-align:-.1em;forced-color-adjust:none}`;
