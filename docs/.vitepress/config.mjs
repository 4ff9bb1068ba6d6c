// @ts-check
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitepress';

const root = fileURLToPath(new URL('../..', import.meta.url));
const { description } = JSON.parse(readFileSync(`${root}package.json`, 'utf8'));

/** Links of an index page, in its order: `[text](target.md)` at the start of a table row. @param {string} page @param {string} folder */
function entriesOf(page, folder) {
  const text = readFileSync(`${root}${page}`, 'utf8');
  return [...text.matchAll(/^\| \[([^\]]+)\]\(([^)#]+)\.md\)/gm)].map(([, name = '', target = '']) => ({
    text: name.replaceAll('`', ''),
    link: `/${folder}${target}`.replace(/README$/, ''),
  }));
}

const guides = entriesOf('docs/README.md', 'docs/');

export default defineConfig({
  title: 'xetkit',
  description,
  lang: 'en',
  srcDir: '..',
  outDir: '../site',
  cacheDir: '../node_modules/.cache/vitepress',
  // The guides and the pages that they link to.
  srcExclude: ['{node_modules,test,rust,pkg,dist,site,src,examples,scripts,workers}/**', 'bench/results/**'],
  rewrites: (path) => path.replace(/(^|\/)README\.md$/, '$1index.md'),
  markdown: { theme: { light: 'github-light-high-contrast', dark: 'github-dark-high-contrast' } },
  themeConfig: {
    search: { provider: 'local' },
    outline: 'deep',
    nav: [
      { text: 'Guides', link: '/docs/' },
      { text: 'Reference', link: '/docs/api/' },
      { text: 'Benchmarks', link: '/bench/' },
      { text: 'Changelog', link: '/CHANGELOG' },
    ],
    sidebar: [
      { text: 'xetkit', items: [{ text: 'Overview', link: '/' }] },
      { text: 'Guides', items: guides.filter(({ link }) => !/\/(api|decisions)\/$/.test(link)) },
      { text: 'Reference', link: '/docs/api/', collapsed: true, items: entriesOf('docs/api/README.md', 'docs/api/') },
      {
        text: 'Decisions',
        link: '/docs/decisions/',
        collapsed: true,
        items: entriesOf('docs/decisions/README.md', 'docs/decisions/'),
      },
      {
        text: 'Project',
        items: [
          { text: 'Architecture', link: '/ARCHITECTURE' },
          { text: 'Contributing', link: '/CONTRIBUTING' },
          { text: 'Security', link: '/SECURITY' },
          { text: 'Changelog', link: '/CHANGELOG' },
        ],
      },
    ],
  },
});
