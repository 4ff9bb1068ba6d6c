/** What pages show or play by the type alone. */
const SHOWN: Record<string, string> = {
  avif: 'image/avif',
  bmp: 'image/bmp',
  gif: 'image/gif',
  jpeg: 'image/jpeg',
  jpg: 'image/jpeg',
  png: 'image/png',
  svg: 'image/svg+xml',
  webp: 'image/webp',
  flac: 'audio/flac',
  m4a: 'audio/mp4',
  mp3: 'audio/mpeg',
  ogg: 'audio/ogg',
  wav: 'audio/wav',
  mov: 'video/quicktime',
  mp4: 'video/mp4',
  webm: 'video/webm',
  pdf: 'application/pdf',
};

/**
 * The type that the Hub gives a file: images, sound and films their own; what else is in git is text, whatever
 * it is called, so that no site runs the scripts and pages of a repository as its own; the rest is bytes.
 */
export function contentTypeOf(path: string, stored: 'git' | 'large'): string {
  const extension = /\.([^./]+)$/.exec(path)?.[1]?.toLowerCase() ?? '';
  if (Object.hasOwn(SHOWN, extension)) return SHOWN[extension] ?? '';
  return stored === 'git' ? 'text/plain; charset=utf-8' : 'application/octet-stream';
}
