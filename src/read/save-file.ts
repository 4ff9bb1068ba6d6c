import { checked, SAVE_FILE } from '../core/arguments.ts';
import { isXetError, XetError } from '../core/errors.ts';
import type { OnProgress } from '../core/progress.ts';
import type { DownloadResult } from '../download/file.ts';
import { downloadTo } from '../download/file.ts';
import { OpfsPlace } from '../files/opfs/opfs-place.ts';
import { PickedPlace, type WritableFile } from '../files/opfs/picked-place.ts';
import type { Place } from '../files/place.ts';
import { opfsRoot, parseOpfsPath } from '../fs/opfs.ts';
import { saveToStream } from './save-stream.ts';
import { readsOf, XetFile } from './xet-file.ts';

/**
 * Destination of a saved file: a path in the origin private file system (OPFS), a `FileSystemFileHandle` of a file in
 * it or of one that the user picked, or any stream.
 */
export type SaveTarget = { opfs: string } | WritableFile | WritableStream<Uint8Array>;

/** Options of `saveFile`. */
export interface SaveOptions {
  /**
   * Stops it: the promise rejects with its reason. What was fetched by then is kept for the next time, except for a
   * stream.
   */
  signal?: AbortSignal;
  /** Called a few times per second with the progress, and once at the end. */
  onProgress?: OnProgress;
  /** Fetches again what is already there. Default: false. */
  force?: boolean;
}

/** Result of a save. `localPath` is the path in OPFS, or the name of the picked file; empty for a stream. */
export type SaveResult = DownloadResult;

/**
 * Saves a whole file from a page. It takes the memory of a few connections, whatever the size of the file; and what is
 * not right never gets the name, or never sees its stream closed.
 *
 * In the page's own storage, and for handles, a next try goes on where an earlier one was stopped, by an abort, a
 * reload or a crash. Of several tabs that save the same, one fetches it and the others find it. *
 * @example
 * <!-- page -->
 * ```js
 * import { saveFile } from 'xetkit';
 *
 * const { localPath, verified } = await saveFile(file, { opfs: 'models/model.safetensors' });
 * console.log(localPath, verified);
 * ```
 */
export async function saveFile(file: XetFile, target: SaveTarget, given: SaveOptions = {}): Promise<SaveResult> {
  if (!(file instanceof XetFile) || typeof target !== 'object' || target === null)
    throw new XetError(
      'INVALID_ARGUMENT',
      "saveFile takes what open() gave, and where to: saveFile(file, { opfs: 'a.bin' }).",
    );
  const options = checked('saveFile', given, SAVE_FILE);
  const { reads, range } = readsOf(file);
  const { engine, file: resolved, spawnWorker, onWarning = () => undefined } = reads.parts;
  if (range.start > 0 || range.end < resolved.size) {
    throw new XetError('INVALID_ARGUMENT', 'Only whole files can be saved and verified; of a slice there is a stream.');
  }
  const started = performance.now();
  const { onProgress, force = false } = options;
  const signal = options.signal ? AbortSignal.any([options.signal, reads.parts.signal]) : reads.parts.signal;
  signal.throwIfAborted();
  const log = engine.newLog();
  const settings = { signal, onProgress, force, log, onWarning };
  const place = await placeFor(target);
  const outcome =
    'openSink' in place
      ? await downloadTo(engine, resolved, place, settings)
      : { ...(await saveToStream(engine, resolved, place, settings)), localPath: '' };
  const { path, size, etag, commit, xetHash } = resolved;
  const seconds = (performance.now() - started) / 1000;
  return { path, ...outcome, size, etag, commit, xetHash, requests: log.totalRequests, seconds };

  async function placeFor(given: SaveTarget): Promise<Place | WritableStream<Uint8Array>> {
    if ('opfs' in given) {
      const path = parseOpfsPath(given.opfs);
      await opfsRoot();
      return new OpfsPlace({ file: resolved, path, spawnWorker });
    }
    if ('getWriter' in given) return given;
    if (given.kind !== 'file')
      throw new XetError('INVALID_ARGUMENT', 'A file is saved to a file, and not to a folder.');
    try {
      const own = await (await opfsRoot()).resolve(given as FileSystemFileHandle).catch(() => null);
      const name = own?.pop();
      if (own && name !== undefined)
        return new OpfsPlace({ file: resolved, path: { folders: own, name }, spawnWorker });
      return new PickedPlace(resolved, given, spawnWorker);
    } catch (error) {
      // Without storage of its own the page cannot go on with it later, but it can be saved in one go.
      if (!isXetError(error, 'UNSUPPORTED') || !given.createWritable) throw error;
      return given.createWritable();
    }
  }
}
