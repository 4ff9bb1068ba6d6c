import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface CommitLine {
  key: string;
  value: { path?: string; oid?: string; size?: number };
}

export interface KnownFile {
  hash: string;
  size: number;
  sha256: string;
}

/**
 * A CAS has no repositories: this puts the answers of a Hub before it that lead a client there. It takes commits of
 * large files for what they are; what is in them is the CAS's business.
 */
export async function startHubBefore(
  casUrl: string,
  files: Map<string, KnownFile>,
): Promise<{ url: string; commits: CommitLine[][]; stop: () => Promise<void> }> {
  const commits: CommitLine[][] = [];
  const commit = 'c'.repeat(40);
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? '/', 'http://hub').pathname;
    if (path.includes('/preupload/')) {
      bodyOf(request).then((body) => {
        const { files } = JSON.parse(body) as { files: { path: string }[] };
        const answers = files.map((file) => ({ path: file.path, uploadMode: 'lfs', shouldIgnore: false }));
        response.end(JSON.stringify({ files: answers, commitOid: commit }));
      });
      return;
    }
    if (path.includes('/commit/')) {
      bodyOf(request).then((body) => {
        commits.push(
          body
            .trim()
            .split('\n')
            .map((line) => JSON.parse(line)),
        );
        response.end(JSON.stringify({ success: true, commitOid: commit, commitUrl: `/commit/${commit}` }));
      });
      return;
    }
    if (/\/xet-(read|write)-token\//.test(path)) {
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
    commits,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop: () => new Promise((resolve) => server.close(() => resolve()).closeAllConnections()),
  };
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts).toString();
}
