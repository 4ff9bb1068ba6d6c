import { XetClient } from '../client/xet-client.ts';
import type { CompatPlatform } from './platform.ts';

/** Browsers: what has no environment is switched by `useOriginal`. */
export const compatPlatform: CompatPlatform = {
  makeClient: (options) => new XetClient(options),
  switches: () => ({ mode: 'on', xetDisabled: false }),
  loadOriginal: async () => undefined,
};
