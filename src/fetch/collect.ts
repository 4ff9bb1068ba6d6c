import { responseFrom } from './response.ts';

/** The same answer with all of its body in memory; undefined if that takes longer. An error of the body is thrown. */
export async function collected(response: Response, withinMs: number): Promise<Response | undefined> {
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
