import { baseUrl, casUrl, type HubContext } from '../context.ts';
import type { HubExchange, OutgoingHeaders } from '../http/exchange.ts';
import type { RepoId } from '../repo/repo-id.ts';

/** Headers with which a client fetches a large file over Xet. */
export function linkedFacts(
  context: HubContext,
  exchange: HubExchange,
  { type, name }: RepoId,
  commit: string,
  file: { xetHash: string; size: number; lfs: { sha256: string } },
): { refreshUrl: string; reconstructionUrl: string; headers: OutgoingHeaders } {
  const refreshUrl = `${baseUrl(context, exchange)}/api/${type}s/${name}/xet-read-token/${commit}`;
  const reconstructionUrl = `${casUrl(context, exchange)}/v1/reconstructions/${file.xetHash}`;
  return {
    refreshUrl,
    reconstructionUrl,
    headers: {
      'x-repo-commit': commit,
      'x-linked-etag': `"${file.lfs.sha256}"`,
      'x-linked-size': file.size,
      'x-xet-hash': file.xetHash,
      link: `<${refreshUrl}>; rel="xet-auth", <${reconstructionUrl}>; rel="xet-reconstruction-info"`,
    },
  };
}
