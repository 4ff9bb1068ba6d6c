/** Larger files never go into git itself. */
export const LARGE_FILE_BYTES = 1024 * 1024;

const BINARY_TYPES =
  '7z arrow bin bz2 ckpt ftz gguf gz h5 joblib mlmodel model msgpack npy npz onnx ot parquet pb pickle pkl pt pth rar safetensors tar tflite tgz wasm xz zip zst';

/** The `.gitattributes` of a new repository. */
export function defaultAttributes(): string {
  return [...BINARY_TYPES.split(' ').map((type) => `*.${type}`), '*tfevents*']
    .map((pattern) => `${pattern} filter=lfs diff=lfs merge=lfs -text\n`)
    .join('');
}

/** Whether content goes through Xet: it is large, not text, or the attributes say so. */
export function isLarge(path: string, size: number, sample: Uint8Array, attributes = ''): boolean {
  if (size === 0) return false;
  return size >= LARGE_FILE_BYTES || sample.includes(0) || matchesAttributes(path, attributes);
}

function matchesAttributes(path: string, attributes: string): boolean {
  const name = path.slice(path.lastIndexOf('/') + 1);
  let large = false;
  for (const line of attributes.split('\n')) {
    const [pattern = '', ...rest] = line.trim().split(/\s+/);
    if (pattern === '' || pattern.startsWith('#')) continue;
    const says = rest.includes('filter=lfs') ? true : rest.includes('-filter') ? false : undefined;
    if (says !== undefined && globMatches(pattern, pattern.includes('/') ? path : name)) large = says;
  }
  return large;
}

/** Git's wildcards: `*` and `?` stay within a folder, `**` does not. */
export function globMatches(pattern: string, text: string): boolean {
  const source = pattern
    .replace(/^\//, '')
    .split(/(\*\*\/|\*\*|\*|\?|\[[^\]]+\])/)
    .map((part) => {
      if (part === '**/') return '(?:.*/)?';
      if (part === '**') return '.*';
      if (part === '*') return '[^/]*';
      if (part === '?') return '[^/]';
      if (/^\[[^\]]+\]$/.test(part)) return `[${part.slice(1, -1).replace(/^!/, '^').replace(/[\\[]/g, '\\$&')}]`;
      return part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
    })
    .join('');
  return new RegExp(`^${source}$`).test(text);
}

/** Whether a `.gitignore` leaves a path out. */
export function isIgnored(path: string, ignoreText: string): boolean {
  let ignored = false;
  for (const line of ignoreText.split(/\r?\n/)) {
    const text = line.trim();
    if (text === '' || text.startsWith('#')) continue;
    const negated = text.startsWith('!');
    const pattern = (negated ? text.slice(1) : text).replace(/\/$/, '');
    const anchored = pattern.includes('/');
    const folderOnly = text.endsWith('/');
    const words = path.split('/');
    const hit = words.some((word, index) => {
      if (folderOnly && index === words.length - 1) return false;
      return globMatches(pattern, anchored ? words.slice(0, index + 1).join('/') : word);
    });
    if (hit) ignored = !negated;
  }
  return ignored;
}
