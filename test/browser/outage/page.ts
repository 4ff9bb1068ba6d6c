import { XetClient } from '../../../src/client/xet-client.ts';
import { opfsFiles, saveFile } from '../../../src/entries/index.ts';
import { textOf } from '../outcomes.ts';

/** State of the download of this page. */
export interface Outage {
  /** Bytes that have come. */
  done: number;
  waiting: boolean;
  warnings: string[];
  /** The sha256 of what came, or why it failed. */
  result?: string;
}

const values = new URLSearchParams(location.search);
const outage: Outage = { done: 0, waiting: false, warnings: [] };
Object.assign(globalThis, { outage });

async function sha256(content: BufferSource): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', content));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

async function run(): Promise<string> {
  const client = new XetClient({
    endpoint: values.get('hub') ?? '',
    files: opfsFiles,
    concurrency: 2,
    onWarning: (warning) => outage.warnings.push(warning),
  });
  const counting = setInterval(() => {
    outage.done = Math.max(outage.done, client.metrics().bytes.network);
  }, 50);
  try {
    const file = await client.open({ repo: 'owner/model', path: 'model.bin' });
    if (values.get('way') === 'arrayBuffer') return await sha256(await file.arrayBuffer());
    if (values.get('way') === 'stream') return await sha256(await new Response(file.stream()).arrayBuffer());
    const onProgress = ({ waiting = false }) => {
      outage.waiting = waiting;
    };
    const { localPath: path } = await saveFile(file, { opfs: `outage-${Math.random()}/model.bin` }, { onProgress });
    let folder = await navigator.storage.getDirectory();
    const names = path.split('/');
    for (const name of names.slice(0, -1)) folder = await folder.getDirectoryHandle(name);
    const saved = await folder.getFileHandle(names.at(-1) ?? '');
    return await sha256(await (await saved.getFile()).arrayBuffer());
  } finally {
    clearInterval(counting);
    await client.close();
  }
}

outage.result = await run().catch(textOf);
