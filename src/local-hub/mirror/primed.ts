import type { ByteRange } from '../../core/ranges.ts';
import { requestedRange } from '../http/byte-range.ts';
import type { HubExchange } from '../http/exchange.ts';
import type { RangedContent } from '../http/ranged.ts';

/**
 * Reads the first piece of what a request asks for before the head of its answer is sent, so that content that cannot be
 * had is an error with a status instead of a connection that breaks.
 */
export async function primed(exchange: HubExchange, content: RangedContent): Promise<RangedContent> {
  const { size } = content;
  const range = requestedRange(exchange.header('range'), size) ?? { start: 0, end: size };
  if (exchange.method === 'HEAD' || range === 'unsatisfiable') return content;
  const pieces = content.read(range)[Symbol.asyncIterator]();
  const first = await pieces.next();
  async function* all(): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      for (let next = first; !next.done; next = await pieces.next()) yield next.value;
    } finally {
      await pieces.return?.();
    }
  }
  const isSame = (other: ByteRange) => other.start === range.start && other.end === range.end;
  return { size, read: (other) => (isSame(other) ? all() : content.read(other)) };
}
