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

/** An answer that says where it is from, as those of the network do; one made by hand would say nothing. */
export function responseFrom(
  url: string,
  body: ReadableStream<Uint8Array> | Blob | string | null,
  { status, headers }: { status: number; headers: Record<string, string> },
): Response {
  return from(url, new Response(body, { status, statusText: STATUS_TEXTS[status] ?? '', headers }));
}

function from(url: string, response: Response): Response {
  return Object.defineProperties(response, {
    url: { value: url, configurable: true },
    clone: { value: () => from(url, Response.prototype.clone.call(response)), configurable: true },
  });
}
