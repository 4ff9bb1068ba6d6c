import type { FetchProgress } from './xet-fetch.ts';

/** What a page hears of a download that it asked its service worker for. */
export interface XetProgressMessage extends FetchProgress {
  /** By which it is told from messages of others. */
  type: 'xetkit-progress';
  /** The address that the page asked for. */
  url: string;
  /** In the last message of a download that failed: why. */
  error?: { code: string | undefined; message: string };
}

/** What a service worker asks its pages while it is at work, and what they answer. */
export interface AwakeMessage {
  type: 'xetkit-awake';
}

export const AWAKE: AwakeMessage = { type: 'xetkit-awake' };

export function isProgressMessage(data: unknown): data is XetProgressMessage {
  return typeOf(data) === 'xetkit-progress';
}

export function isAwakeMessage(data: unknown): data is AwakeMessage {
  return typeOf(data) === AWAKE.type;
}

function typeOf(data: unknown): unknown {
  return typeof data === 'object' && data !== null && 'type' in data ? data.type : undefined;
}
