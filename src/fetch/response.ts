const STATUS_TEXTS: Record<number, string> = {
  200: 'OK',
  206: 'Partial Content',
  304: 'Not Modified',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  412: 'Precondition Failed',
  416: 'Range Not Satisfiable',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
};

/** A `Response` with a `url`, like those of the network; the constructor leaves it empty. */
export function responseFrom(
  url: string,
  body: ReadableStream<Uint8Array> | Blob | string | null,
  { status, headers }: { status: number; headers: Record<string, string> },
): Response {
  return withUrl(url, new Response(body, { status, statusText: STATUS_TEXTS[status] ?? '', headers }));
}

function withUrl(url: string, response: Response): Response {
  return Object.defineProperties(response, {
    url: { value: url, configurable: true },
    clone: { value: () => withUrl(url, Response.prototype.clone.call(response)), configurable: true },
  });
}

/** The same response with its whole body in memory; undefined if that takes longer. Errors of the body are thrown. */
export async function buffered(response: Response, withinMs: number): Promise<Response | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), withinMs);
  });
  try {
    const reader = response.body?.getReader();
    const parts: Uint8Array<ArrayBuffer>[] = [];
    for (;;) {
      const read = await Promise.race([reader?.read() ?? { done: true as const, value: undefined }, late]);
      if (!read) {
        await reader?.cancel();
        return undefined;
      }
      if (read.done) break;
      parts.push(read.value as Uint8Array<ArrayBuffer>);
    }
    const headers = Object.fromEntries(response.headers);
    return responseFrom(response.url, new Blob(parts), { status: response.status, headers });
  } finally {
    clearTimeout(timer);
  }
}
