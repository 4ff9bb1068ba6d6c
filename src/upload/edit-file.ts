import { untilAborted } from '../core/abortable.ts';
import { XetError } from '../core/errors.ts';
import { MetricsLog } from '../core/metrics.ts';
import type { ByteRange } from '../core/ranges.ts';
import type { Recipe } from '../core/recipe.ts';
import { type EditPart, type EditPiece, orderedEdits, piecesWithin, planEdit } from '../edit/plan.ts';
import { changeBucket, changesFailed } from '../hub/bucket-writer.ts';
import type { HubClient, ResolvedFile } from '../hub/client.ts';
import { DEFAULT_REVISION, givenPath, parseRepo, refuseForBucket, repoText, revisionUrl } from '../hub/repo.ts';
import type { RepoId } from '../hub/types.ts';
import { HubWriter } from '../hub/writer.ts';
import { commitAll } from './commit-files.ts';
import type { ContentReader } from './content-reader.ts';
import type { BytePieces } from './cut-file.ts';
import type { EditOptions, FileEdit } from './edit-types.ts';
import type { FinalizedFile } from './finalize-file.ts';
import { gather } from './gather.ts';
import { type EditedSource, type StoreCounts, storeFiles } from './store-files.ts';
import { upload } from './upload.ts';
import { noUploadHash } from './upload-hash.ts';
import type { UploadContext, UploadPlatform, UploadResult } from './upload-types.ts';

/** Reads a range of a file, from this machine where its bytes are here. */
export type ReadOriginal = (file: ResolvedFile, range: ByteRange, signal: AbortSignal) => BytePieces;

type Edited = Omit<EditOptions, 'edits'> & {
  /** Edits of a file of this size. */
  editsOf: (size: number) => readonly FileEdit[];
  signal: AbortSignal;
};

interface ReadEdit extends ByteRange {
  content: ContentReader | undefined;
}

/**
 * Edits a file in place. With the recipe of the file only the windows around the edits are read, chunked and sent; for a
 * repository its digest needs all bytes once. Without a recipe the result is uploaded as a whole.
 */
export async function editFile(
  context: UploadContext & UploadPlatform,
  options: Edited,
  readOriginal: ReadOriginal,
): Promise<UploadResult> {
  return new FileEditing(context, options, readOriginal).run();
}

class FileEditing {
  readonly #context: UploadContext & UploadPlatform;
  readonly #options: Edited;
  readonly #readOriginal: ReadOriginal;
  readonly #repo: RepoId;
  readonly #path: string;
  readonly #branch: string;
  readonly #log: MetricsLog;
  readonly #hub: HubClient;

  constructor(context: UploadContext & UploadPlatform, options: Edited, readOriginal: ReadOriginal) {
    const { branch, title, description, parentCommit, createPr } = options;
    this.#repo = parseRepo(options.repo);
    if (this.#isBucket) refuseForBucket(this.#repo, { branch, title, description, parentCommit, createPr });
    this.#context = context;
    this.#options = options;
    this.#readOriginal = readOriginal;
    this.#path = givenPath(options.path);
    this.#branch = this.#isBucket ? '' : (branch ?? DEFAULT_REVISION);
    this.#log = new MetricsLog(context.http.log);
    this.#hub = context.hub.with(context.http.with(this.#log));
  }

  get #isBucket(): boolean {
    return this.#repo.type === 'bucket';
  }

  async run(): Promise<UploadResult> {
    const started = performance.now();
    const { parentCommit, editsOf, signal } = this.#options;
    const original = await this.#resolve();
    if (parentCommit !== undefined && parentCommit !== original.commit) throw this.#changed();
    const given = editsOf(original.size);
    orderedEdits(given, original.size);
    const edits = await untilAborted(signal, this.#read(given));
    const recipe = original.xetHash && (await this.#context.caches.stores.recipes.get(original.xetHash));
    const parts = recipe && recipe.size === original.size ? planEdit(recipe, edits) : [];
    // Without anything to keep, and so for an empty result too, it is an upload like any other.
    if (!recipe || !parts.some((part) => 'kept' in part)) return this.#uploadWhole(original, edits);
    const { file, counts } = await this.#store(original, recipe, parts, edits);
    const commit = this.#isBucket ? await this.#addToBucket(original, file) : await this.#commit(original, file);
    const registered = await this.#resolve(commit?.oid);
    if (registered.xetHash !== file.xetHash && (this.#isBucket || commit !== undefined)) {
      throw new XetError(
        'INTEGRITY',
        `The Hub reports the hash ${registered.xetHash} for the edited '${this.#path}', not ${file.xetHash}. Download the file and compare it.`,
      );
    }
    await this.#context.caches.keepRecipe(file.xetHash, file.size, file.terms, file.records);
    const isUnchanged = file.xetHash === original.xetHash;
    return {
      commit: commit?.oid ?? original.commit,
      url: commit?.url,
      pullRequestUrl: commit?.pullRequestUrl,
      commits: commit ? [{ oid: commit.oid, url: commit.url, title: commit.title }] : [],
      files: [
        {
          path: this.#path,
          size: file.size,
          sha256: file.sha256 || undefined,
          xetHash: file.xetHash,
          mode: 'lfs',
          status: isUnchanged ? 'unchanged' : 'uploaded',
        },
      ],
      bytes: { total: file.size, deduplicated: file.size - counts.storedBytes, sent: counts.sentBytes },
      requests: this.#log.totalRequests,
      seconds: (performance.now() - started) / 1000,
    };
  }

  #resolve(revision = this.#branch): Promise<ResolvedFile> {
    return this.#hub.resolve(this.#repo, revision, this.#path, { signal: this.#options.signal });
  }

  async #read(edits: readonly FileEdit[]): Promise<ReadEdit[]> {
    const { local, onWarning } = this.#context;
    const { http } = this.#hub;
    return Promise.all(
      edits.map(async ({ start, end, content }, index) => {
        if (content === undefined) return { start, end, content: undefined };
        const [item, more] = await gather(
          [{ path: `edit ${index}`, content }],
          {},
          { http, local, force: false, onWarning },
        );
        if (!item || more || item.path !== `edit ${index}`)
          throw new XetError('INVALID_ARGUMENT', 'The content of an edit must be one file, not a folder.');
        await item.content.peek(this.#options.signal);
        return { start, end, content: item.content };
      }),
    );
  }

  async *#bytes(original: ResolvedFile, pieces: readonly EditPiece[], edits: readonly ReadEdit[]) {
    const { signal } = this.#options;
    for (const piece of pieces) {
      if (piece.from === 'original') yield* this.#readOriginal(original, piece, signal);
      else yield* edits[piece.index]?.content?.bytes(signal) ?? [];
    }
  }

  /** The regular route: of git files, of files without a recipe, and of results that keep nothing. */
  async #uploadWhole(original: ResolvedFile, edits: readonly ReadEdit[]): Promise<UploadResult> {
    const { repo, branch, title = this.#title, description, createPr, signal } = this.#options;
    const pieces = piecesWithin(orderedEdits(edits, original.size), { start: 0, end: original.size }, original.size);
    const content = this.#bytes(original, pieces, edits);
    const files = [{ path: this.#path, content }];
    if (!this.#isBucket) {
      const parentCommit = original.commit;
      return upload(this.#context, { repo, branch, title, description, createPr, files, parentCommit, signal });
    }
    const check = async () => this.#checkUnchanged(original);
    const checked = (async function* () {
      yield* content;
      await check();
    })();
    return upload(this.#context, { repo, files: [{ path: this.#path, content: checked }], signal });
  }

  async #store(original: ResolvedFile, recipe: Recipe, plan: readonly EditPart[], edits: readonly ReadEdit[]) {
    const { pool, budget, makeUploadHash, makeBody } = this.#context;
    const { createPr = false, signal } = this.#options;
    const bytes = (pieces: readonly EditPiece[]) => this.#bytes(original, pieces, edits);
    const parts = plan.map((part): EditedSource['parts'] extends Iterable<infer P> ? P : never => {
      if ('pieces' in part) return { bytes: bytes(part.pieces) };
      const content = this.#isBucket ? undefined : bytes([{ from: 'original', ...part.range }]);
      return { kept: { ...part.kept, content } };
    });
    const tokenUrl = this.#isBucket
      ? revisionUrl(this.#hub.endpoint, this.#repo, 'xet-write-token', '')
      : this.#writer.tokenUrl({ repo: this.#repo, branch: this.#branch, createPr });
    const stored = await storeFiles(
      {
        http: this.#hub.http,
        tokens: this.#hub.tokens(tokenUrl),
        pool,
        budget,
        makeHash: this.#isBucket ? noUploadHash : makeUploadHash,
        makeBody,
        recipes: { get: async (hash) => (hash === recipe.fileHash ? recipe : undefined), list: async function* () {} },
      },
      [{ parts }],
      { signal, likely: [recipe.fileHash] },
    );
    this.#log.add('sent', stored.counts.sentBytes);
    return { file: stored.files[0] as FinalizedFile, counts: stored.counts satisfies StoreCounts };
  }

  async #commit(original: ResolvedFile, { sha256, size, xetHash }: FinalizedFile) {
    if (xetHash === original.xetHash) return undefined;
    const { title = this.#title, description = '', createPr = false, signal } = this.#options;
    const path = this.#path;
    const [made] = await commitAll(
      { ...this.#context, writer: this.#writer },
      { repo: this.#repo, branch: this.#branch, createPr },
      { title, description, parentCommit: original.commit, head: original.commit },
      (async function* () {
        yield { kind: 'lfsFile' as const, path, id: sha256, size };
      })(),
      signal,
    );
    return made;
  }

  async #addToBucket(original: ResolvedFile, { xetHash }: FinalizedFile): Promise<undefined> {
    await this.#checkUnchanged(original);
    const change = { type: 'addFile', path: this.#path, xetHash, mtimeMs: Date.now() } as const;
    const failures = await changeBucket(this.#hub, this.#repo, [change], this.#options.signal);
    if (failures.length > 0) throw changesFailed(this.#repo, failures, 1, 'Repeat the edit: no content is sent twice.');
    return undefined;
  }

  async #checkUnchanged(original: ResolvedFile): Promise<void> {
    const now = await this.#resolve();
    if (now.xetHash !== original.xetHash) throw this.#changed();
  }

  #changed(): XetError {
    return new XetError(
      'CONFLICT',
      `${repoText(this.#repo)} has changed since '${this.#path}' was looked up, so nothing was committed. Repeat the edit for the new content.`,
    );
  }

  get #title(): string {
    return `Edit ${this.#path} with xetkit`;
  }

  get #writer(): HubWriter {
    return new HubWriter(this.#hub.http, this.#hub, this.#context.attempts);
  }
}
