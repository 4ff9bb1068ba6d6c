import { join } from 'node:path';
import type { HubContext } from '../context.ts';
import { RecentMap } from '../store/recent-map.ts';
import { Answers } from './answers.ts';
import { Askers } from './askers.ts';
import { Blobs } from './blobs.ts';
import { MirrorFiles } from './files.ts';
import { MirrorMetrics } from './metrics.ts';
import type { MirrorSettings } from './options.ts';
import { Questions } from './questions.ts';
import { type MirroredFile, Reconstructions } from './reconstructions.ts';
import { Sealer } from './sealed.ts';
import { CasTokens } from './tokens.ts';
import { Upstream } from './upstream.ts';
import { XorbCache } from './xorb-cache.ts';
import { XorbFetches } from './xorb-fetches.ts';
import { XorbReceiver } from './xorb-receiver.ts';

/** Everything that a mirror consists of. */
export interface Mirror {
  context: HubContext;
  acceptsUploads: boolean;
  metrics: MirrorMetrics;
  upstream: Upstream;
  askers: Askers;
  questions: Questions;
  tokens: CasTokens;
  reconstructions: Reconstructions;
  cache: XorbCache;
  fetches: XorbFetches;
  files: MirrorFiles;
  blobs: Blobs;
  /** Time when a client last had runs dropped. */
  repairedAt: RecentMap<string, number>;
  /** Checks a file against its hash, once, as soon as all of it is stored. */
  checkLater(file: MirroredFile): void;
}

/** Opens a mirror in a folder of a local Hub. */
export async function openMirror(context: HubContext, hubDir: string, settings: MirrorSettings): Promise<Mirror> {
  const dir = join(hubDir, 'mirror');
  const { staging } = context.store;
  const { codec } = context;
  const log = (line: string) => context.settings.log?.(line);
  const { accessMs } = settings.lifetimes;
  const metrics = new MirrorMetrics();
  const upstream = new Upstream(settings.upstream, settings.offline, metrics, log);
  const answers = new Answers(dir, staging, log);
  const sealer = await Sealer.open(dir, staging);
  const cache = await XorbCache.open(dir, staging, settings.maxBytes, metrics);
  const fetches = new XorbFetches({
    cache,
    receiver: new XorbReceiver(upstream, codec, metrics),
    metrics,
    log,
    maxFetches: settings.maxFetches,
  });
  const reconstructions = new Reconstructions({ upstream, answers, metrics, accessMs });
  const files = new MirrorFiles({ cache, fetches, reconstructions, codec, metrics, log });
  const checked = new RecentMap<string, true>(100_000);
  const checking = new Set<string>();
  return {
    context,
    acceptsUploads: settings.uploads === 'proxy',
    metrics,
    upstream,
    askers: new Askers(context, settings.ownTokens, settings.upstreamToken),
    questions: new Questions({ upstream, answers, metrics, lifetimes: settings.lifetimes, log }),
    tokens: new CasTokens({ upstream, answers, sealer, metrics, accessMs }),
    reconstructions,
    cache,
    fetches,
    files,
    blobs: new Blobs({ dir, staging, upstream, metrics, log }),
    repairedAt: new RecentMap(100_000),
    checkLater: (file) => {
      if (checked.get(file.hash) || checking.has(file.hash)) return;
      checking.add(file.hash);
      files
        .check(file)
        .then((isWhole) => {
          if (isWhole) checked.set(file.hash, true);
        })
        .catch((error: unknown) => log(`File ${file.hash} cannot be checked: ${String(error)}`))
        .finally(() => checking.delete(file.hash));
    },
  };
}
