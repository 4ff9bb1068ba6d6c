/** A worker of a page, as libraries use them: it fetches what it is told and says how much came. */
addEventListener('message', async ({ data }) => {
  if (typeof data === 'object') return postMessage(synchronously(data));
  const response = await fetch(String(data));
  postMessage((await response.arrayBuffer()).byteLength);
});

/** As DuckDB and Emscripten read files: the worker stands still until the answer is there. */
function synchronously({ url, range }: { url: string; range?: string }): [number, number, string | null] {
  const request = new XMLHttpRequest();
  request.open('GET', url, false);
  request.responseType = 'arraybuffer';
  if (range !== undefined) request.setRequestHeader('Range', range);
  request.send();
  return [request.status, (request.response as ArrayBuffer).byteLength, request.getResponseHeader('content-range')];
}
