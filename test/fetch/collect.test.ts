import { describe, expect, test, vi } from 'vitest';
import { buffered, responseFrom } from '../../src/fetch/response.ts';

const url = 'https://hub.example/file';
const head = { status: 206, headers: { 'content-type': 'application/x-own', etag: '"e"' } };

describe('buffered', () => {
  test('a buffered response equals the original', async () => {
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(Uint8Array.of(1, 2));
        controller.enqueue(Uint8Array.of(3));
        controller.close();
      },
    });
    const response = await buffered(responseFrom(url, body, head), 1000);
    expect([response?.url, response?.status, response?.statusText]).toEqual([url, 206, 'Partial Content']);
    expect([response?.headers.get('etag'), response?.headers.get('content-type')]).toEqual([
      '"e"',
      'application/x-own',
    ]);
    expect([...new Uint8Array(await response!.arrayBuffer())]).toEqual([1, 2, 3]);
  });

  test('a response that takes too long is cancelled', async () => {
    const cancel = vi.fn();
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(Uint8Array.of(1)),
      cancel,
    });
    expect(await buffered(responseFrom(url, body, head), 20)).toBeUndefined();
    expect(cancel).toHaveBeenCalledTimes(1);
  });

  test('an error of the body is thrown', async () => {
    const reason = new Error('corrupt');
    const body = new ReadableStream<Uint8Array>({ pull: (controller) => controller.error(reason) });
    await expect(buffered(responseFrom(url, body, head), 1000)).rejects.toBe(reason);
  });
});
