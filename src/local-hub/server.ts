import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { Grants } from './cas/grants.ts';
import { casRoutes, signedRoute } from './cas/routes.ts';
import { CAS_PREFIX, type HubContext, isForeign } from './context.ts';
import type { FaultPlan } from './faults.ts';
import { guardConnections } from './http/connections.ts';
import { corsHeaders, sendPreflight } from './http/cors.ts';
import { HubExchange } from './http/exchange.ts';
import { pause } from './http/pause.ts';
import type { RequestLog, RequestRecord } from './http/request-log.ts';
import type { Route } from './http/route.ts';
import { refusalOf } from './http/sender.ts';
import { hubRoute } from './hub/routes.ts';
import { asHubError, errorText, HubError } from './hub-error.ts';
import { XORB_PREFIX } from './mirror/cas-routes.ts';
import type { Mirror } from './mirror/mirror.ts';
import { FILE_PREFIX } from './mirror/resolve.ts';
import { mirrorRoute } from './mirror/routes.ts';

/** Bytes that may wait in a connection before its body is held back. */
const SEND_BUFFER_BYTES = 1024 * 1024;

const SERVER_OPTIONS = {
  headersTimeout: 60_000,
  // Uploads take as long as they take; those that stall are given up by other rules.
  requestTimeout: 0,
  keepAliveTimeout: 60_000,
  highWaterMark: SEND_BUFFER_BYTES,
};

/** The HTTP server in front of everything. It does not listen yet. */
export function createHubServer(
  context: HubContext,
  faults: FaultPlan,
  log: RequestLog,
  mirror: Mirror | undefined,
): Server {
  const grants = new Grants();
  const findCas = casRoutes(context, grants);
  const findRoute = (exchange: HubExchange): Route => {
    const mirrored = mirror && mirrorRoute(mirror, exchange);
    if (mirrored) return mirrored;
    const [first, ...rest] = exchange.segments;
    if (`/${first}` === CAS_PREFIX) return findCas(exchange, rest);
    // hf_xet drops the path of the CAS address when it reports its statistics.
    if (first === 'v1' && rest[0] === 'telemetry') return findCas(exchange, exchange.segments);
    return signedRoute(context, grants, exchange) ?? hubRoute(context, exchange);
  };
  const server = createServer(SERVER_OPTIONS, (request, response) => {
    const record = startRecord(context, request);
    log.add(record);
    answer(context, faults, findRoute, request, response, record).catch((error: unknown) => {
      context.settings.log?.(`Failed: ${record.method} ${record.path}: ${String(error)}`);
      response.destroy();
    });
  });
  guardConnections(server);
  return server;
}

/** As much of a text as is worth keeping: records are kept by the hundred thousand, and heads may have 16 kB. */
function shortText(text: string | undefined): string | undefined {
  // Through bytes, as a part of a text keeps all of it in memory.
  return text === undefined || text.length <= 1000 ? text : Buffer.from(text.slice(0, 1000)).toString();
}

function startRecord(context: HubContext, request: IncomingMessage): RequestRecord {
  const range = shortText(request.headers.range);
  return {
    kind: 'other',
    method: request.method ?? 'GET',
    path: shortText((request.url ?? '/').split('?', 1)[0]) ?? '/',
    status: 0,
    bytesSent: 0,
    ...(range !== undefined && { range }),
    authorized: request.headers.authorization !== undefined,
    startedAt: context.settings.now(),
  };
}

async function answer(
  context: HubContext,
  faults: FaultPlan,
  findRoute: (exchange: HubExchange) => Route,
  request: IncomingMessage,
  response: ServerResponse,
  record: RequestRecord,
): Promise<void> {
  // A client that goes away is not an event worth a crash; whoever writes or reads sees it.
  request.on('error', () => undefined);
  response.on('error', () => undefined);
  // The clock may be a made-up one, and clients learn the time from this header.
  response.sendDate = false;
  response.setHeader('date', new Date(context.settings.now()).toUTCString());
  response.setHeader('x-request-id', randomUUID());
  // Files are whatever somebody put there: none of them may become a page of this origin, which may write.
  response.setHeader('x-content-type-options', 'nosniff');
  response.setHeader('content-security-policy', "default-src 'none'; sandbox");
  let exchange: HubExchange;
  try {
    exchange = new HubExchange(request, response, record, faults);
  } catch (error) {
    if (!(error instanceof HubError)) throw error;
    record.status = error.status;
    response.writeHead(error.status).end();
    return;
  }
  const started = performance.now();
  await respond(exchange, faults, findRoute(exchange), context);
  if (!request.complete) request.resume();
  const taken = (performance.now() - started).toFixed(0);
  context.settings.log?.(`${record.method} ${record.path} ${record.status} ${record.bytesSent} bytes ${taken} ms`);
}

async function respond(exchange: HubExchange, faults: FaultPlan, route: Route, context: HubContext): Promise<void> {
  const refusal = refusalOf(exchange.senderFacts, context.settings.senders);
  if (refusal !== undefined) return exchange.json(403, { error: refusal }, { 'x-error-message': headerText(refusal) });
  if (exchange.method === 'OPTIONS') return sendPreflight(familyOf(exchange), exchange, isForeign(context, exchange));
  exchange.begin(route.kind);
  const headers = corsHeaders(route.family, exchange);
  for (const [name, value] of Object.entries(headers))
    if (value !== undefined) exchange.response.setHeader(name, value);
  if (faults.latencyMs > 0) await pause(faults.latencyMs, exchange.signal);
  const { fault } = exchange;
  if (fault?.action === 'refuse') return exchange.refuse();
  if (fault?.action === 'delay') await pause(fault.ms, exchange.signal);
  if (exchange.signal.aborted) return;
  if (fault?.action === 'status') {
    const body = fault.body ?? JSON.stringify({ error: `Made-up status ${fault.status}` });
    return exchange.send(fault.status, { 'content-type': 'application/json; charset=utf-8', ...fault.headers }, body);
  }
  try {
    await route.run();
  } catch (error) {
    await sendError(exchange, route, error, context);
  }
}

/** A preflight names no method of its own, so its part of the service is told by the address alone. */
function familyOf({ segments }: HubExchange): Route['family'] {
  const [first = ''] = segments;
  if (`/${first}` === CAS_PREFIX) return 'cas';
  return ['xorbs', 'xorb-uploads', 'xet-bridge', 'lfs', XORB_PREFIX, FILE_PREFIX].includes(first) ? 'signed' : 'hub';
}

async function sendError(exchange: HubExchange, route: Route, error: unknown, context: HubContext): Promise<void> {
  const { response } = exchange;
  if (response.headersSent || exchange.signal.aborted) {
    if (!exchange.signal.aborted) context.settings.log?.(`Broken off: ${exchange.path}: ${String(error)}`);
    response.destroy();
    return;
  }
  const known = asHubError(error);
  if (known.status >= 500) context.settings.log?.(`Failed: ${exchange.path}: ${errorText(error)}`);
  const headers = {
    ...known.headers,
    'x-error-message': headerText(known.message),
    ...(known.code !== undefined && { 'x-error-code': known.code }),
  };
  // Files are answered in plain text, like their content would be; everything else in JSON.
  if (route.kind === 'resolve' || route.kind === 'resolve-cache')
    return exchange.text(known.status, known.message, headers);
  await exchange.json(known.status, { error: known.message }, headers);
}

function headerText(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?').slice(0, 500);
}
