// @ts-check
// `node scripts/api-docs.mjs`: writes docs/api/ from the docstrings of what the package exports. `--check` says whether it
// is up to date, and what has no docstring.
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import ts from 'typescript';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = join(root, 'docs/api');

/** @typedef {{ title: string, file: string, source: string }} Entry */

/** The entries of the package, by what they are imported as.
 * @returns {Promise<Entry[]>}
 */
async function entriesOf() {
  const { exports } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
  return Object.entries(exports).flatMap(([path, to]) => {
    if (typeof to === 'string') return [];
    const name = basename(to.types, '.d.ts');
    const title = path.replace('.', 'xetkit');
    return { title, file: `${basename(title)}.md`, source: join(root, `src/entries/${name}.ts`) };
  });
}

/** Pages by their names, and what lacks a docstring.
 * @returns {Promise<{ pages: Record<string, string>, undocumented: string[] }>}
 */
export async function makeApiDocs() {
  const entries = await entriesOf();
  const program = ts.createProgram(
    entries.map(({ source }) => source),
    {
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.ESNext,
      moduleResolution: ts.ModuleResolutionKind.Bundler,
      lib: [
        'lib.es2023.d.ts',
        'lib.esnext.disposable.d.ts',
        'lib.dom.d.ts',
        'lib.dom.iterable.d.ts',
        'lib.dom.asynciterable.d.ts',
      ],
      types: ['node'],
      strict: true,
      allowImportingTsExtensions: true,
      noEmit: true,
      skipLibCheck: true,
    },
  );
  /** @type {string[]} */
  const undocumented = [];
  /** @type {Record<string, string>} */
  const pages = {};
  const index = [
    '# Reference',
    '',
    'Written from the docstrings by `npm run docs:api`. Every page also lists the types of its entry point.',
    '',
    '| import | contents | classes and functions |',
    '|---|---|---|',
  ];
  const checker = program.getTypeChecker();
  for (const entry of entries) {
    const page = new Page(checker, entry.title);
    const source = program.getSourceFile(entry.source);
    const module = source && checker.getSymbolAtLocation(source);
    if (!source || !module) throw new Error(`${entry.source} is no module`);
    pages[entry.file] = page.write(module, source);
    undocumented.push(...page.undocumented);
    const names = page.callable.map((name) => `[\`${name}\`](${entry.file}#${name.toLowerCase()})`);
    index.push(`| [\`${entry.title}\`](${entry.file}) | ${page.purpose} | ${names.join(', ')} |`);
  }
  pages['README.md'] = `${index.join('\n')}\n`;
  return { pages, undocumented };
}

const TYPE_FLAGS = ts.TypeFormatFlags.NoTruncation | ts.TypeFormatFlags.UseAliasDefinedOutsideCurrentScope;

/** Splits a text into one line and the examples that follow it. @param {string} text */
function split(text) {
  const at = text.indexOf('```');
  const before = at < 0 ? text : text.slice(0, at).replace(/<!--[^>]*-->\s*$/, '');
  const example = at < 0 ? '' : text.slice(text.slice(0, at).search(/(?:<!--[^>]*-->\s*)?$/)).trim();
  return { line: before.replace(/\s+/g, ' ').trim(), example };
}

/** @param {ts.Signature} made */
const isInternal = (made) => made.getJsDocTags().some(({ name }) => name === 'internal');

class Page {
  /** @type {string[]} */
  undocumented = [];
  /** Classes and functions. @type {string[]} */
  callable = [];
  /** First sentence about the entry point. */
  purpose = '';
  /** @type {string[]} */
  #lines = [];
  #checker;
  #title;

  /**
   * @param {ts.TypeChecker} checker
   * @param {string} title
   */
  constructor(checker, title) {
    this.#checker = checker;
    this.#title = title;
  }

  /**
   * @param {ts.Symbol} module
   * @param {ts.SourceFile} source
   */
  write(module, source) {
    const [, about = ''] = /^\/\*\*\s*\n((?:\s*\*.*\n)*?)\s*\* @module/.exec(source.text) ?? [];
    const text = about
      .replace(/^\s*\* ?/gm, '')
      .replace(/^`[^`]*` ?(for|:) ?/, (_, word) => (word === 'for' ? 'For ' : ''))
      .trim();
    this.purpose = (/^[\s\S]*?(?=\.\s|\.$|:\s|$)/.exec(text)?.[0] ?? '').replace(/\s+/g, ' ');
    this.#lines.push(`# \`${this.#title}\``, '', text, '');
    const found = this.#checker
      .getExportsOfModule(module)
      .map((symbol) => (symbol.flags & ts.SymbolFlags.Alias ? this.#checker.getAliasedSymbol(symbol) : symbol));
    const rank = (/** @type {ts.Symbol} */ { flags }) =>
      [ts.SymbolFlags.Class, ts.SymbolFlags.Function, ts.SymbolFlags.Variable].findIndex((flag) => flags & flag);
    /** @type {[string, number][]} */
    const groups = [
      ['Classes', 0],
      ['Functions', 1],
      ['Values', 2],
      ['Types', -1],
    ];
    for (const [title, group] of groups) {
      const members = found.filter((symbol) => rank(symbol) === group);
      if (members.length === 0) continue;
      this.#lines.push(`## ${title}`, '');
      const sorted = members.sort((a, b) => (a.name < b.name ? -1 : 1));
      if (group === 0 || group === 1) this.callable.push(...sorted.map(({ name }) => name));
      for (const symbol of sorted) this.#symbol(symbol);
    }
    return `${this.#lines
      .join('\n')
      .replace(/\n{3,}/g, '\n\n')
      .trim()}\n`;
  }

  /** @param {ts.Symbol} symbol */
  #symbol(symbol) {
    const [declaration] = symbol.declarations ?? [];
    if (!declaration) throw new Error(`${symbol.name} is declared nowhere`);
    this.#lines.push(`### ${symbol.name}`, '', this.#documentation(symbol, symbol.name), '');
    if (ts.isFunctionDeclaration(declaration) || ts.isVariableDeclaration(declaration)) {
      const type = this.#checker.getTypeOfSymbolAtLocation(symbol, declaration);
      const calls = type.getCallSignatures();
      const texts = calls.length
        ? calls.map((call) => `function ${symbol.name}${this.#checker.signatureToString(call, undefined, TYPE_FLAGS)}`)
        : [`const ${symbol.name}: ${this.#checker.typeToString(type, undefined, TYPE_FLAGS)}`];
      this.#code(texts.join('\n'));
    } else if (ts.isTypeAliasDeclaration(declaration) && !ts.isTypeLiteralNode(declaration.type)) {
      this.#code(withoutComments(declaration.getText().replace(/^export /, '')));
    } else {
      this.#members(symbol, declaration);
    }
  }

  /**
   * @param {ts.Symbol} symbol
   * @param {ts.Declaration} declaration
   */
  #members(symbol, declaration) {
    const type = this.#checker.getDeclaredTypeOfSymbol(symbol);
    if (ts.isClassDeclaration(declaration)) {
      const [made] = this.#checker.getTypeOfSymbolAtLocation(symbol, declaration).getConstructSignatures();
      if (made && !isInternal(made))
        this.#code(
          `new ${this.#checker.signatureToString(made, undefined, TYPE_FLAGS).replace(/^(.*): (.*)$/, `${symbol.name}$1`)}`,
        );
    }
    for (const call of type.getCallSignatures())
      this.#code(this.#checker.signatureToString(call, undefined, TYPE_FLAGS));
    /** @type {string[]} */
    const examples = [];
    for (const member of type.getProperties()) {
      const [at] = member.declarations ?? [];
      if (!at || member.name.startsWith('__') || /^#|^\[/.test(member.name) || isElsewhere(at)) continue;
      const memberType = this.#checker.getTypeOfSymbolAtLocation(member, at);
      const optional = member.flags & ts.SymbolFlags.Optional ? '?' : '';
      const shown =
        member.flags & ts.SymbolFlags.Method
          ? memberType
              .getCallSignatures()
              .map((call) => `${member.name}${optional}${this.#checker.signatureToString(call, undefined, TYPE_FLAGS)}`)
          : [`${member.name}${optional}: ${typeText(this.#checker, at, memberType)}`];
      const { line, example } = split(this.#documentation(member, `${symbol.name}.${member.name}`));
      this.#lines.push(`- \`${shown.join('`, `').replace(/\s+/g, ' ')}\`${line ? `: ${line}` : ''}`);
      if (example) examples.push(`\`${member.name}\`:`, '', example, '');
    }
    this.#lines.push('', ...examples);
  }

  /** @param {string} text */
  #code(text) {
    this.#lines.push('```ts', text, '```', '');
  }

  /**
   * The shapes that the drop-in takes and gives are those of `@huggingface/hub`, which says what they mean; what it does
   * with them is ours to say.
   * @param {ts.Symbol} symbol
   */
  #isOthers(symbol) {
    const declared = symbol.flags & ts.SymbolFlags.Alias ? this.#checker.getAliasedSymbol(symbol) : symbol;
    return this.#title === 'xetkit/compat' && !(declared.flags & (ts.SymbolFlags.Function | ts.SymbolFlags.Variable));
  }

  /**
   * @param {ts.Symbol} symbol
   * @param {string} name
   */
  #documentation(symbol, name) {
    const parts = symbol.getDocumentationComment(this.#checker);
    const text = ts
      .displayPartsToString(parts)
      .replace(/\{@link (\S+?)\}/g, '`$1`')
      .trim();
    if (text === '' && !this.#isOthers(symbol)) {
      this.undocumented.push(`${this.#title}: ${name} (${place(symbol)})`);
    }
    const examples = symbol
      .getJsDocTags(this.#checker)
      .filter((tag) => tag.name === 'example')
      .map((tag) => ts.displayPartsToString(tag.text).trim());
    return [text, ...examples].join('\n\n');
  }
}

/** @param {ts.Symbol} symbol */
function place({ declarations }) {
  const [at] = declarations ?? [];
  if (!at) return '';
  const file = at.getSourceFile();
  return `${relative(root, file.fileName)}:${file.getLineAndCharacterOfPosition(at.getStart()).line + 1}`;
}

/** The type as it is written, where it is written.
 * @param {ts.TypeChecker} checker
 * @param {ts.Declaration} at
 * @param {ts.Type} type
 */
function typeText(checker, at, type) {
  const written = /** @type {{ type?: ts.TypeNode }} */ (/** @type {unknown} */ (at)).type;
  return written ? withoutComments(written.getText()) : checker.typeToString(type, undefined, TYPE_FLAGS);
}

/** @param {string} text */
const withoutComments = (text) => text.replace(/\s*\/\*\*[\s\S]*?\*\//g, '');

/** What comes from TypeScript's own libraries, such as the members of every Error.
 * @param {ts.Declaration} at
 */
const isElsewhere = (at) => /node_modules/.test(at.getSourceFile().fileName);

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { pages, undocumented } = await makeApiDocs();
  for (const name of undocumented) console.error(`No docstring: ${name}`);
  const check = process.argv.includes('--check');
  let stale = false;
  if (!check) await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  for (const [name, text] of Object.entries(pages)) {
    const path = join(folder, name);
    if (!check) await writeFile(path, text);
    else if ((await readFile(path, 'utf8').catch(() => '')) !== text) stale = true;
  }
  if (check && (await readdir(folder)).length !== Object.keys(pages).length) stale = true;
  if (stale) console.error('docs/api/ is not up to date: run npm run docs:api');
  process.exitCode = stale || undocumented.length > 0 ? 1 : 0;
}
