import type { LocalHub } from 'xetkit/local-hub';

interface Count {
  requests: number;
  bytes: number;
}

export interface Traffic {
  /** Where data of Xet files is. */
  xorb: Count;
  reconstructions: number;
  /** Xet files over plain HTTP. */
  bridge: Count;
  /** Files that are small enough for git. */
  git: Count;
  requests: number;
}

/** What a Hub has done since this was last asked. */
export function trafficOf(hub: LocalHub): Traffic {
  const records = hub.requests.filter(({ method }) => method !== 'OPTIONS');
  hub.resetRequests();
  const count = (kind: string): Count => {
    const of = records.filter((record) => record.kind === kind);
    return { requests: of.length, bytes: of.reduce((sum, { bytesSent }) => sum + bytesSent, 0) };
  };
  return {
    xorb: count('xorb'),
    reconstructions: count('reconstruction').requests,
    bridge: count('bridge'),
    git: count('resolve-cache'),
    requests: records.length,
  };
}

/** Shows what a client cost, for whoever reads the run. */
export function tell(what: string, size: number, { xorb, git, bridge, requests }: Traffic): void {
  console.log(
    `${what}: of ${size} bytes ${xorb.bytes} over Xet in ${xorb.requests}, ${bridge.bytes} over the bridge; ` +
      `${git.bytes} of small files; ${requests} requests in all`,
  );
}
