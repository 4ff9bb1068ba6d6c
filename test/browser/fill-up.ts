import { openDB } from 'idb';
import { randomNumbers } from '../support/chunk-samples.ts';

const KB = 1024;
const MB = 1024 * KB;

/** Uses up the quota of the site. Returns the names of the databases that it created. */
export async function fillUp(): Promise<string[]> {
  const names: string[] = [];
  for (let bytes = MB; bytes >= 16 * KB; bytes /= 4) {
    const name = `filling-${crypto.randomUUID()}`;
    const random = randomNumbers(bytes);
    try {
      const database = await openDB(name, 1, { upgrade: (fresh) => void fresh.createObjectStore('filling') });
      names.push(name);
      try {
        for (let key = 0; key < 500; key++) {
          // Random data, as some browsers compress.
          const filling = Uint8Array.from({ length: bytes }, () => random() * 256);
          const writing = database.transaction('filling', 'readwrite');
          await Promise.all([writing.store.put(filling, key), writing.done]);
        }
      } finally {
        database.close();
      }
      throw new Error('The quota never ends.');
    } catch (error) {
      if (!(error instanceof Error) || !/Quota|Abort/.test(error.name)) throw error;
    }
  }
  return names;
}
