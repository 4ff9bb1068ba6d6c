import { XetClient } from '../client/xet-client.web.ts';
import type { CompatPlatform } from './platform.ts';

/** Browsers: what has no environment is switched by `useOriginal`. */
export const webCompat: CompatPlatform = {
  makeClient: (options) => new XetClient(options),
  switches: () => ({ mode: 'on', xetDisabled: false }),
  loadOriginal: async () => undefined,
};
