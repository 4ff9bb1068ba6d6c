import { baseUrl, casUrl, type HubContext } from '../context.ts';
import type { HubExchange, OutgoingHeaders } from '../http/exchange.ts';
import type { RepoId } from '../repo/repo-id.ts';

/** A stored file as the Hub describes it. */
export interface LinkedFile {
  xetHash: string;
  size: number;
  /** The sha256 of a file in a repository; in a bucket, the Xet hash. */
  etag: string;
}

/** Headers with which a client fetches a large file over Xet. A bucket has no commits. */
export function linkedFacts(
  context: HubContext,
  exchange: HubExchange,
  { type, name }: RepoId,
  commit: string | undefined,
  file: LinkedFile,
): { refreshUrl: string; reconstructionUrl: string; headers: OutgoingHeaders } {
  const tail = commit === undefined ? '' : `/${commit}`;
  const refreshUrl = `${baseUrl(context, exchange)}/api/${type}s/${name}/xet-read-token${tail}`;
  const reconstructionUrl = `${casUrl(context, exchange)}/v1/reconstructions/${file.xetHash}`;
  return {
    refreshUrl,
    reconstructionUrl,
    headers: {
      'x-repo-commit': commit,
      'x-linked-etag': `"${file.etag}"`,
      'x-linked-size': file.size,
      'x-xet-hash': file.xetHash,
      link: `<${refreshUrl}>; rel="xet-auth", <${reconstructionUrl}>; rel="xet-reconstruction-info"`,
    },
  };
}
