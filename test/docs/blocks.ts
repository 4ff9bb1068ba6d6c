import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

export const root = fileURLToPath(new URL('../../', import.meta.url));

/** A fenced block of a guide. */
export interface Block {
  /** `docs/errors.md:12` */
  place: string;
  language: string;
  text: string;
  /** What the comment before it says of how it is tried. */
  mark: Mark | undefined;
}

/**
 * `<!-- page -->` and `<!-- service worker -->` run in a browser; `<!-- not run: WHY -->` is looked at, but not run;
 * `<!-- tested by: FILE -->` is tried there.
 */
export interface Mark {
  kind: 'page' | 'service worker' | 'not run' | 'tested by';
  text: string;
}

export const guides = (): string[] => [
  'README.md',
  ...readdirSync(`${root}docs`)
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`)
    .sort(),
];

/** The examples of docstrings. */
export const examples = (): Block[] =>
  readdirSync(`${root}docs/api`)
    .sort()
    .flatMap((name) => blocksOf(`docs/api/${name}`))
    .filter(({ language }) => language === 'js');

export function blocksOf(path: string, source = readFileSync(root + path, 'utf8')): Block[] {
  const blocks: Block[] = [];
  const lines = source.split('\n');
  for (let at = 0; at < lines.length; at++) {
    const [, fence, language = ''] = /^ *(`{3,})(\S*)/.exec(lines[at] ?? '') ?? [];
    if (fence === undefined) continue;
    const end = lines.findIndex((line, index) => index > at && line.trim() === fence);
    if (end === -1) throw new Error(`${path}:${at + 1}: the block has no end`);
    const text = `${lines.slice(at + 1, end).join('\n')}\n`;
    blocks.push({ place: `${path}:${at + 1}`, language, text, mark: markOf(lines, at) });
    at = end;
  }
  return blocks;
}

function markOf(lines: string[], fenceAt: number): Mark | undefined {
  const before = lines[fenceAt - 1] || lines[fenceAt - 2] || '';
  const [, kind, text = ''] = /^ *<!-- (page|service worker|not run|tested by)(?:: (.+?))? -->$/.exec(before) ?? [];
  return kind === undefined ? undefined : { kind: kind as Mark['kind'], text };
}

/** What guides speak of without saying each time where it comes from. */
const GIVEN: Record<string, string> = {
  file: "const file = await client.open({ repo: 'owner/model', path: 'model.safetensors' });",
  client: "import { XetClient as ClientOfBefore } from 'xetkit';\nconst client = new ClientOfBefore();",
  parquetUrl: "const parquetUrl = 'https://huggingface.co/datasets/owner/data/resolve/main/train/0.parquet';",
  ggufUrl: "const ggufUrl = 'https://huggingface.co/owner/model/resolve/main/model.gguf';",
};

/** A block as a program: what it takes for given comes first. */
export function programOf({ text }: Block): string {
  return Object.entries(GIVEN).reduce((program, [name, given]) => {
    return isFree(name, program) ? `${given}\n${program}` : program;
  }, text);
}

/** Whether a program uses a name that it does not declare. */
function isFree(name: string, program: string): boolean {
  let used = false;
  let declared = false;
  const visit = (node: ts.Node): void => {
    if (ts.isIdentifier(node) && node.text === name) {
      const { parent } = node;
      const isDeclaration =
        (ts.isVariableDeclaration(parent) || ts.isBindingElement(parent) || ts.isParameter(parent)) &&
        parent.name === node;
      const isProperty =
        ((ts.isPropertyAccessExpression(parent) || ts.isPropertyAssignment(parent)) && parent.name === node) ||
        (ts.isBindingElement(parent) && parent.propertyName === node);
      if (isDeclaration || ts.isImportSpecifier(parent)) declared = true;
      else if (!isProperty) used = true;
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile('block.mts', program, ts.ScriptTarget.Latest, true));
  return used && !declared;
}
