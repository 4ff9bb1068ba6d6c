import type { IncomingMessage, ServerResponse } from 'node:http';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { HubClient } from '../../src/hub/client.ts';
import { listEntries } from '../../src/hub/listing.ts';
import { parseRepo } from '../../src/hub/repo.ts';
import { makeHttp, serve } from '../http/server.ts';

// Statuses and headers of the live Hub, as recorded in 2024 and 2026, with the host replaced.

const GPT2 = parseRepo('openai-community/gpt2');
const COMMIT = '607a30d783dfa663caf39e06633721c8d4cfcd7e';
const WEIGHTS = '63bed80836ee0758c8fd4f8975d59bb0b864263ee2753547c358e8a37cde8758';
const WEIGHTS_SHA256 = '248dfc3911869ec493c76e65bf2fcf7f615828b0254c12b473182f0f81d3a707';
const CONFIG_OID = '10c66461e4c109db5a2196bff4bb59be30396ed8';
const CONFIG = '/openai-community/gpt2/resolve/main/config.json';
const EXPOSED =
  'X-Repo-Commit,X-Request-Id,X-Error-Code,X-Error-Message,X-Total-Count,ETag,Link,Accept-Ranges,Content-Range,X-Linked-Size,X-Linked-ETag,X-Xet-Hash';

type Recorded = (request: IncomingMessage, response: ServerResponse, endpoint: string) => void;

/** A Hub that answers paths, without their queries, as recorded, and notes what is requested. */
async function hubWith(
  recorded: Record<string, Recorded>,
): Promise<{ hub: HubClient; endpoint: string; asked: string[] }> {
  const asked: string[] = [];
  const endpoint: string = await serve((request, response) => {
    const path = new URL(request.url ?? '', 'http://hub').pathname;
    asked.push(`${request.method} ${path}`);
    const answer = recorded[path];
    if (answer) answer(request, response, endpoint);
    else response.writeHead(404).end();
  });
  return { hub: new HubClient(makeHttp(), { endpoint, accessToken: async () => undefined }), endpoint, asked };
}

const TREE = [
  { type: 'directory', oid: 'd03ec5ec179df58241d27d55f92a674f5f44197f', size: 0, path: 'onnx' },
  { type: 'file', oid: CONFIG_OID, size: 665, path: 'config.json' },
  {
    type: 'file',
    oid: '44b36d6e32d13c8fb28b0feab0ac8bfefa7efeda',
    size: 548_105_171,
    lfs: { oid: WEIGHTS_SHA256, size: 548_105_171, pointerSize: 134 },
    xetHash: WEIGHTS,
    path: 'model.safetensors',
  },
];

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

const resolveCache = `/api/resolve-cache/models/openai-community/gpt2/${COMMIT}/config.json`;

const configRedirect: Recorded = (_, response) => {
  response
    .writeHead(307, {
      location: `${resolveCache}?%2Fopenai-community%2Fgpt2%2Fresolve%2Fmain%2Fconfig.json=&etag=%22${CONFIG_OID}%22`,
      'x-repo-commit': COMMIT,
      'x-linked-etag': `"${CONFIG_OID}"`,
      'accept-ranges': 'bytes',
      'content-disposition': `inline; filename*=UTF-8''config.json; filename="config.json";`,
      'access-control-expose-headers': EXPOSED,
      ratelimit: '"resolvers";r=2997;t=258',
      'ratelimit-policy': '"fixed window";"resolvers";q=3000;w=300',
      vary: 'Origin, Accept',
      'content-type': 'text/plain; charset=utf-8',
    })
    .end('Temporary Redirect');
};

describe('the live Hub, as recorded', () => {
  test('a small git file is redirected to resolve-cache', async () => {
    const { hub, asked } = await hubWith({
      [CONFIG]: configRedirect,
      [resolveCache]: ({ headers }, response) => {
        const size = 665;
        const common = {
          etag: `"${CONFIG_OID}"`,
          'x-repo-commit': COMMIT,
          'accept-ranges': 'bytes',
          'content-type': 'text/plain; charset=utf-8',
        };
        const end = Number(/^bytes=0-(\d+)$/.exec(headers.range ?? '')?.[1] ?? size - 1);
        const body = Buffer.alloc(Math.min(end + 1, size), '{');
        if (headers.range === undefined) response.writeHead(200, { ...common, 'content-length': size }).end(body);
        else response.writeHead(206, { ...common, 'content-range': `bytes 0-${body.length - 1}/${size}` }).end(body);
      },
    });
    expect(await hub.resolve(GPT2, 'main', 'config.json')).toMatchObject({
      size: 665,
      etag: CONFIG_OID,
      commit: COMMIT,
      xetHash: undefined,
    });
    expect(asked).toEqual([`GET ${CONFIG}`, `GET ${resolveCache}`]);
  });

  test('a small git file of 2024 is served at once, without any redirect', async () => {
    const { hub } = await hubWith({
      [CONFIG]: (_, response) => {
        response
          .writeHead(200, {
            'accept-ranges': 'bytes',
            'content-length': 327,
            'content-type': 'text/plain; charset=utf-8',
            etag: '"9fa50ec37ab9f93c5f9d90e65827d3af0d5d4043"',
            vary: 'Origin',
            'x-cache': 'Miss from cloudfront',
            'x-repo-commit': '55eb2010aeaaa246defc329d42939e0253d55c99',
          })
          .end(Buffer.alloc(327, ' '));
      },
    });
    expect(await hub.resolve(GPT2, 'main', 'config.json')).toMatchObject({
      size: 327,
      etag: '9fa50ec37ab9f93c5f9d90e65827d3af0d5d4043',
      commit: '55eb2010aeaaa246defc329d42939e0253d55c99',
      xetHash: undefined,
    });
  });

  test('a redirect to storage is completed by the entry and the commit, never by the storage', async () => {
    const path = '/openai-community/gpt2/resolve/main/model.safetensors';
    const { hub, endpoint, asked } = await hubWith({
      [path]: (_, response, here) => {
        response
          .writeHead(302, {
            location: `${here}/xet-bridge-us/621ffdc036468d709f17434d/${WEIGHTS}?X-Xet-Cas-Uid=public&Expires=0&Policy=p&Signature=s&Key-Pair-Id=k`,
            'x-repo-commit': COMMIT,
            'x-linked-size': 548_105_171,
            'x-linked-etag': `"${WEIGHTS_SHA256}"`,
            'x-xet-hash': WEIGHTS,
            link: `<${here}/api/models/openai-community/gpt2/xet-read-token/${COMMIT}>; rel="xet-auth", <${here}/v1/reconstructions/${WEIGHTS}>; rel="xet-reconstruction-info"`,
            'accept-ranges': 'bytes',
            'cache-control': 'no-store',
          })
          .end(Buffer.alloc(1008, 'x'));
      },
      '/api/models/openai-community/gpt2/paths-info/main': (_, response) => {
        response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify([TREE[2]]));
      },
      '/api/models/openai-community/gpt2/revision/main': (_, response) => {
        response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ sha: COMMIT }));
      },
      [`/xet-bridge-us/621ffdc036468d709f17434d/${WEIGHTS}`]: (_, response) => {
        // The storage behind knows nothing of commits and hashes.
        response.writeHead(206, { 'content-range': 'bytes 0-0/548105171', etag: '"another"' }).end('x');
      },
    });
    expect(await hub.resolve(GPT2, 'main', 'model.safetensors')).toMatchObject({
      size: 548_105_171,
      etag: WEIGHTS_SHA256,
      commit: COMMIT,
      xetHash: WEIGHTS,
      tokenUrl: `${endpoint}/api/models/openai-community/gpt2/xet-read-token/${COMMIT}`,
    });
    expect(asked.sort()).toEqual([
      'GET /api/models/openai-community/gpt2/revision/main',
      `GET ${path}`,
      `GET /xet-bridge-us/621ffdc036468d709f17434d/${WEIGHTS}`,
      'POST /api/models/openai-community/gpt2/paths-info/main',
    ]);
  });

  test('a tree lists folders, git files and files in a CAS', async () => {
    const { hub } = await hubWith({
      '/api/models/openai-community/gpt2/tree/main': (_, response) => {
        // Compressed and in chunks, with Vary sent twice: the live API answers HTTP/1.1 that way.
        response.writeHead(200, [
          ...['Content-Type', 'application/json; charset=utf-8', 'content-encoding', 'gzip'],
          ...['ETag', 'W/"a27-vndQfbspAL31/eKATEOf36LyR8k"', 'RateLimit', '"api";r=499;t=293'],
          ...['Vary', 'Origin', 'vary', 'Accept-Encoding'],
        ]);
        response.end(gzipSync(JSON.stringify(TREE)));
      },
    });
    const entries = await all(listEntries(hub, GPT2, 'main', {}));
    expect(entries.map(({ path, type, size, sha256, xetHash }) => ({ path, type, size, sha256, xetHash }))).toEqual([
      { path: 'onnx', type: 'directory', size: 0, sha256: undefined, xetHash: undefined },
      { path: 'config.json', type: 'file', size: 665, sha256: undefined, xetHash: undefined },
      { path: 'model.safetensors', type: 'file', size: 548_105_171, sha256: WEIGHTS_SHA256, xetHash: WEIGHTS },
    ]);
  });

  test('Link headers with relative targets, sent twice, are no further pages', async () => {
    const { hub, asked } = await hubWith({
      '/api/models/openai-community/gpt2/tree/main': (_, response) => {
        response.writeHead(200, [
          ...['content-type', 'application/json'],
          ...['link', '</.well-known/ai-catalog.json>; rel="ai-catalog"; type="application/ai-catalog+json"'],
          ...['link', '</.well-known/api-catalog>; rel="api-catalog"'],
        ]);
        response.end(JSON.stringify([{ type: 'file', oid: CONFIG_OID, size: 665, path: 'config.json' }]));
      },
    });
    expect(await all(listEntries(hub, GPT2, 'main', {}))).toHaveLength(1);
    expect(asked).toHaveLength(1);
  });
});
