/** Platform whose usual file systems decide which file names are valid. */
export type NamePlatform = 'windows' | 'darwin' | 'other';

const EVERYWHERE: readonly NamePlatform[] = ['windows', 'darwin', 'other'];

export interface UnusableName {
  path: string;
  reason: string;
  /** Platforms that reject it. */
  on: readonly NamePlatform[];
}

/** Names that become one where case or Unicode form are not told apart. */
export interface Collision {
  paths: string[];
  /** True if all of them are folders: their files end up in one folder, and none is lost. */
  folders: boolean;
  /** Platforms on which they collide. */
  on: readonly NamePlatform[];
}

export interface NameReport {
  unusable: UnusableName[];
  colliding: Collision[];
}

/** Looks at the paths of files that are to be in one folder, which a server chose, for every platform at once. */
export function checkNames(paths: Iterable<string>): NameReport {
  const files = new Set(paths);
  const folders = new Set<string>();
  for (const path of files) {
    for (let slash = path.indexOf('/'); slash >= 0; slash = path.indexOf('/', slash + 1))
      folders.add(path.slice(0, slash));
  }
  const unusable: UnusableName[] = [];
  for (const path of files) {
    const found = folders.has(path)
      ? { reason: 'it is a file and a folder at once', on: EVERYWHERE }
      : (unsafeReason(path) ?? lengthReason(path) ?? windowsReason(path));
    if (found) unusable.push({ path, ...found });
  }
  return { unusable, colliding: collisions(files, folders) };
}

type Found = Pick<UnusableName, 'reason' | 'on'>;

/** Code points that HFS+ does not see, so that a name with them in it may still be `.git` there. */
const INVISIBLE = /[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]/g;
/** Also the short name that Windows makes of it, and the endings that Windows drops. */
const GIT = /^(?:\.git|git~\d+)[. ]*$/i;

/** Matches names that could leave the folder, or do not denote a file in it, on any platform. */
function unsafeReason(path: string): Found | undefined {
  const reason = (() => {
    if (path === '') return 'it is empty';
    if (path.includes('\0')) return 'it holds a zero byte';
    if (/\p{Surrogate}/u.test(path)) return 'it holds half a character';
    if (path.includes('\\')) return "it holds '\\', which separates folders on Windows";
    if (path.startsWith('/')) return 'it is an absolute path';
    for (const part of path.split('/')) {
      if (part === '') return 'it has an empty part';
      if (part === '.' || part === '..') return `it has a part '${part}'`;
      if (/^.:/su.test(part)) return 'it names a drive';
      if (GIT.test(part.replace(INVISIBLE, ''))) return "it reaches into a '.git' folder";
    }
    return undefined;
  })();
  return reason === undefined ? undefined : { reason, on: EVERYWHERE };
}

const MAX_PART = 255;

/** Linux counts bytes; what macOS and Windows surely refuse is counted in UTF-16 units. */
function lengthReason(path: string): Found | undefined {
  if (path.length <= MAX_PART / 3) return undefined;
  const parts = path.split('/');
  if (parts.some((part) => part.length > MAX_PART))
    return { reason: `a part of it is longer than ${MAX_PART} characters`, on: EVERYWHERE };
  const encoder = new TextEncoder();
  return parts.some((part) => encoder.encode(part).length > MAX_PART)
    ? { reason: `a part of it is longer than ${MAX_PART} bytes`, on: ['other'] }
    : undefined;
}

/** With any extension, and with spaces in front of it. The superscript digits count as digits. */
const DEVICE = /^(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[1-9\u00b9\u00b2\u00b3]) *(?:\.|$)/i;
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what Windows refuses
const REFUSED = /[<>:"|?*\u0001-\u001f]/;

function windowsReason(path: string): Found | undefined {
  for (const part of path.split('/')) {
    const refused = REFUSED.exec(part)?.[0];
    const reason =
      refused !== undefined
        ? `Windows allows no ${refused < ' ' ? 'control characters' : `'${refused}'`} in names`
        : /[. ]$/.test(part)
          ? 'Windows drops a dot or space at the end of a name'
          : DEVICE.test(part)
            ? `'${part}' is a device on Windows`
            : undefined;
    if (reason !== undefined) return { reason, on: ['windows'] };
  }
  return undefined;
}

/** Normalisation that each platform's usual file systems apply before comparing names. */
const FOLDS: Partial<Record<NamePlatform, (name: string) => string>> = {
  // NTFS maps single UTF-16 units, and takes both forms of a letter with an accent for different names.
  windows: (name) =>
    name.replace(/[^\0-\x40]/g, (unit) => (unit.toUpperCase().length === 1 ? unit.toUpperCase() : unit)),
  darwin: (name) => name.normalize('NFD').toUpperCase().toLowerCase().normalize('NFD'),
};

function collisions(files: ReadonlySet<string>, folders: ReadonlySet<string>): Collision[] {
  const found = new Map<string, Collision & { on: NamePlatform[] }>();
  const names = [...new Set([...files, ...folders])];
  for (const [platform, fold] of Object.entries(FOLDS) as [NamePlatform, (name: string) => string][]) {
    const groups = new Map<string, string[]>();
    for (const name of names) {
      const folded = fold(name);
      const group = groups.get(folded);
      if (group) group.push(name);
      else groups.set(folded, [name]);
    }
    for (const paths of groups.values()) {
      if (paths.length < 2) continue;
      const key = paths.sort().join('\0');
      const known = found.get(key);
      if (known) known.on.push(platform);
      else found.set(key, { paths, folders: !paths.some((path) => files.has(path)), on: [platform] });
    }
  }
  return [...found.values()];
}

/** The consequences of names on a platform. */
export interface NameVerdict {
  warnings: string[];
  /** Files that would be taken for what a client has noted about the folder. */
  notes: ReadonlySet<string>;
  /** Files that cannot be had on this platform, and why. */
  leftOut: ReadonlyMap<string, string>;
}

/**
 * Decides what follows from the names of files. Those that this platform cannot have are left out, and of several that would be
 * one file all but the first; a warning where they could not be together elsewhere. `into` is where they go: a folder of the
 * user's own is one that may be copied to another system, and it holds notes of the Hub's clients.
 */
export function judgeNames(
  paths: readonly string[],
  { platform, into, repo }: { platform: NamePlatform; into: 'cache' | 'folder'; repo: string },
): NameVerdict {
  const notes = new Set(into === 'folder' ? paths.filter(isNote) : []);
  const { unusable, colliding } = checkNames(paths.filter((path) => !notes.has(path)));
  const warnings: string[] = [];
  if (notes.size > 0) {
    warnings.push(
      `Left out of ${repo}: ${some([...notes].map(quoted))}. Clients keep their notes about a folder under these ` +
        'names, and would take these files for such notes.',
    );
  }
  const here = <T extends { on: readonly NamePlatform[] }>({ on }: T) => on.includes(platform);
  const leftOut = new Map(unusable.filter(here).map(({ path, reason }) => [path, reason]));
  const clashes = colliding.filter((one) => here(one) && !one.folders);
  const listed = new Set(paths);
  for (const { paths: names } of clashes) {
    // A folder among them stays, with all that is in it.
    const kept = names.find((name) => !listed.has(name)) ?? paths.find((path) => names.includes(path)) ?? '';
    for (const name of names) {
      if (name !== kept && listed.has(name)) leftOut.set(name, `it is the same name as ${quoted(kept)} on this system`);
    }
  }
  if (leftOut.size > 0) warnings.push(leftOutText(leftOut, repo));
  for (const { paths: names } of colliding.filter((one) => !clashes.includes(one))) {
    warnings.push(
      `${names.map(quoted).join(' and ')} of ${repo} are one name on systems that do not tell apart case or Unicode ` +
        'forms, such as Windows and macOS: they cannot be together in a folder there.',
    );
  }
  const elsewhere = unusable.filter((one) => !here(one));
  if (elsewhere.length > 0 && into === 'folder') {
    warnings.push(`Not every system can have these names of ${repo}: ${some(elsewhere.map(reasoned))}.`);
  }
  return { warnings: atMost(warnings, 5), notes, leftOut };
}

/** Describes files that were left out: the reason, and what to do. */
export function leftOutText(leftOut: ReadonlyMap<string, string>, repo: string): string {
  const names = [...leftOut].map(([path, reason]) => reasoned({ path, reason }));
  return (
    `${leftOut.size === 1 ? 'A file' : `${leftOut.size} files`} of ${repo} cannot be stored here under ` +
    `${leftOut.size === 1 ? 'its name' : 'their names'}: ${some(names)}. Exclude what you do not need with ignorePatterns ` +
    '(--exclude), or read it with open().'
  );
}

/** Metadata folder of Python's client and this one. */
function isNote(path: string): boolean {
  return /^\.cache(?:\/huggingface(?:\/.*)?)?$/is.test(path);
}

const quoted = (path: string) => `'${printable(path)}'`;
const reasoned = ({ path, reason }: Pick<UnusableName, 'path' | 'reason'>) => `${quoted(path)} (${printable(reason)})`;

/** A name that can be shown: as long as a line, and without what would steer a terminal. */
export function printable(name: string): string {
  const shown = name.replace(/\p{Cc}|\p{Surrogate}/gu, '\ufffd');
  return shown.length > 120 ? `${shown.slice(0, 80)}…${shown.slice(-30)}` : shown;
}

/** The first few of a list, and how many more there are. */
export function some(texts: readonly string[], most = 3): string {
  const rest = texts.length - most;
  return `${texts.slice(0, most).join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
}

function atMost(texts: string[], most: number): string[] {
  const rest = texts.length - most;
  return rest > 0 ? [...texts.slice(0, most), `There are ${rest} more warnings about names.`] : texts;
}
