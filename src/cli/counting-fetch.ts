/** Network traffic. */
export interface Counts {
  /** Bytes of bodies that were read. */
  bytes: number;
  requests: number;
}

/** Answers of these statuses have no body. */
const WITHOUT_BODY = new Set([101, 204, 205, 304]);

/** A `fetch` that counts, for clients that do not count themselves. A client without aborts gets one by `signal`. */
export function countingFetch(signal?: AbortSignal): {
  fetch: (input: string | URL | Request, init?: RequestInit) => Promise<Response>;
  counts: Counts;
} {
  const counts: Counts = { bytes: 0, requests: 0 };
  const counted = async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
    counts.requests++;
    const response = await fetch(input, signal && !init?.signal ? { ...init, signal } : init);
    const { body, status, statusText, headers, url, redirected } = response;
    if (!body || WITHOUT_BODY.has(status)) return response;
    const counter = new TransformStream<Uint8Array, Uint8Array>({
      transform: (bytes, controller) => {
        counts.bytes += bytes.length;
        controller.enqueue(bytes);
      },
    });
    const same = new Response(body.pipeThrough(counter), { status, statusText, headers });
    // A made answer has no address, and clients look at it.
    Object.defineProperties(same, { url: { value: url }, redirected: { value: redirected } });
    return same;
  };
  return { fetch: counted, counts };
}
