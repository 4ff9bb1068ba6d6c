/** Direct access of a page to its Hub. */
export interface HubOrder {
  /** Forgets the requests so far. */
  reset?: boolean;
  /** Ends all faults and shaping. */
  clear?: boolean;
  bytesPerSecond?: number;
  /** A rule of `hub.faults`, without functions. */
  fault?: { kind: string; action: string; times?: number; [more: string]: unknown };
}

/** Bytes that the Hub sent, by the kind of request. */
export interface Traffic {
  bytes: Record<string, number>;
}

export async function hub(order: HubOrder = {}): Promise<Traffic> {
  return (await fetch('/hub', { method: 'POST', body: JSON.stringify(order) })).json();
}

/** Bytes of content, packed, that left the Hub since it was last reset. */
export async function sent(): Promise<number> {
  return (await hub()).bytes.xorb ?? 0;
}
