import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface KnownFile {
  hash: string;
  size: number;
  sha256: string;
}

/** A CAS has no repositories: this puts the two answers of a Hub before it that lead a client there. */
export async function startHubBefore(
  casUrl: string,
  files: Map<string, KnownFile>,
): Promise<{ url: string; stop: () => Promise<void> }> {
  const commit = 'c'.repeat(40);
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? '/', 'http://hub').pathname;
    if (path.includes('/xet-read-token/')) {
      const token = { accessToken: 'none', casUrl, exp: Math.floor(Date.now() / 1000) + 3600 };
      response.setHeader('content-type', 'application/json').end(JSON.stringify(token));
      return;
    }
    const name = decodeURIComponent(path.split('/').at(-1) ?? '');
    const file = files.get(name);
    if (!file) {
      response.writeHead(404, { 'x-error-code': 'EntryNotFound' }).end();
      return;
    }
    response.setHeader('x-repo-commit', commit).setHeader('content-type', 'application/vnd.xet-fileinfo+json');
    response.end(
      JSON.stringify({
        hash: file.hash,
        refreshUrl: `/api/models/a/b/xet-read-token/${commit}`,
        reconstructionUrl: `${casUrl}/v1/reconstructions/${file.hash}`,
        etag: `"${file.sha256}"`,
        size: file.size,
      }),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop: () => new Promise((resolve) => server.close(() => resolve()).closeAllConnections()),
  };
}
