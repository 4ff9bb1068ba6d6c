import type { RequestKind } from '../faults.ts';
import { HubError } from '../hub-error.ts';
import type { Family } from './cors.ts';
import type { HubExchange } from './exchange.ts';

/** Handler of a request. */
export interface Route {
  family: Family;
  kind: RequestKind;
  run: () => Promise<void>;
}

export function notFound(exchange: HubExchange, family: Family = 'hub'): Route {
  return {
    family,
    kind: 'other',
    run: () => Promise.reject(new HubError(404, `Nothing answers ${exchange.method} ${exchange.path}`)),
  };
}
