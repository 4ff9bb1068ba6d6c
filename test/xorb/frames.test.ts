import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type CutterOptions, FRAME_HEADER_BYTES, FrameCutter, type FrameRun } from '../../src/xorb/frames.ts';
import { holds, splitAt, thrownBy } from '../support/property.ts';
import { concat, frame, sameBytes, splitMix64 } from '../support/vectors.ts';

const KIB = 1024;
const MAX_FRAME_BYTES = 256 * KIB + FRAME_HEADER_BYTES;

interface FrameShape {
  payload: number;
  unpacked: number;
}

/** Frames with payloads of noise: the cutter looks at headers only. */
function framesOf(shapes: FrameShape[]): Uint8Array[] {
  return shapes.map(({ payload, unpacked }, index) => frame(index % 3, unpacked, splitMix64(index, payload)));
}

const shapes: fc.Arbitrary<FrameShape[]> = fc.array(
  fc.record({ payload: fc.nat(700), unpacked: fc.integer({ min: 0, max: 131_072 }) }),
  { maxLength: 40 },
);
const positions = fc.array(fc.nat(40_000), { maxLength: 25 });
/** Small ones are reached by compressed bytes, large ones by unpacked ones. */
const runBytes = fc.oneof(fc.integer({ min: 1, max: 3000 }), fc.integer({ min: 3000, max: 600_000 }));

function pushAll(cutter: FrameCutter, pieces: Uint8Array[]): FrameRun[] {
  return pieces.flatMap((piece) => [...cutter.push(piece)]);
}

function cutAll(pieces: Uint8Array[], options: CutterOptions): FrameRun[] {
  const cutter = new FrameCutter(options);
  return [...pushAll(cutter, pieces), ...cutter.finish()];
}

/** Everything there is to say about runs of a stream of these frames. */
function expectRuns(runs: FrameRun[], frames: Uint8Array[], given: FrameShape[], options: CutterOptions): void {
  expect(sameBytes(concat(runs.map((run) => run.frames)), concat(frames))).toBe(true);
  let chunk = options.firstChunk;
  let start = options.start;
  for (const run of runs) {
    const first = chunk - options.firstChunk;
    const inRun = given.slice(first, first + run.count);
    expect(run).toMatchObject({
      firstChunk: chunk,
      start,
      unpackedLength: inRun.reduce((sum, { unpacked }) => sum + unpacked, 0),
    });
    expect(run.count).toBeGreaterThan(0);
    expect(run.frames).toHaveLength(inRun.reduce((sum, { payload }) => sum + payload + FRAME_HEADER_BYTES, 0));
    chunk += run.count;
    start += run.frames.length;
  }
  expect(chunk - options.firstChunk).toBe(frames.length);
}

const optionsFor = (stream: Uint8Array, size: number): CutterOptions => ({
  firstChunk: 17,
  start: 5000,
  length: stream.length,
  runBytes: size,
});

describe('FrameCutter on a valid stream', () => {
  test('a stream gives the same runs however it is split', () => {
    holds(300, fc.tuple(shapes, positions, runBytes), ([given, cuts, size]) => {
      const frames = framesOf(given);
      const stream = concat(frames);
      const options = optionsFor(stream, size);
      const runs = cutAll(splitAt(stream, cuts), options);
      expectRuns(runs, frames, given, options);
      const atOnce = cutAll([stream], options);
      expect(runs.map((run) => run.count)).toEqual(atOnce.map((run) => run.count));
    });
  });

  test('a stream can be pushed byte by byte', () => {
    const given = [1, 0, 300, 7].map((payload) => ({ payload, unpacked: 1000 }));
    const frames = framesOf(given);
    const stream = concat(frames);
    const options = optionsFor(stream, 100);
    expectRuns(
      cutAll(
        Array.from(stream, (byte) => Uint8Array.of(byte)),
        options,
      ),
      frames,
      given,
      options,
    );
  });

  test('a run ends with the frame that reaches its size, compressed or uncompressed', () => {
    holds(200, fc.tuple(shapes, positions, runBytes), ([given, cuts, size]) => {
      const stream = concat(framesOf(given));
      const runs = cutAll(splitAt(stream, cuts), optionsFor(stream, size));
      let chunk = 0;
      runs.forEach((run, index) => {
        chunk += run.count;
        const last = given[chunk - 1] ?? { payload: 0, unpacked: 0 };
        const before = run.frames.length - last.payload - FRAME_HEADER_BYTES;
        expect(before).toBeLessThan(size);
        expect(run.unpackedLength - last.unpacked).toBeLessThan(size);
        const isLast = index === runs.length - 1;
        if (!isLast) expect(Math.max(run.frames.length, run.unpackedLength)).toBeGreaterThanOrEqual(size);
      });
    });
  });

  test('runs start at firstRunBytes and double', () => {
    holds(200, fc.tuple(shapes, positions, runBytes, runBytes), ([given, cuts, one, other]) => {
      const stream = concat(framesOf(given));
      const [shortest, longest] = [Math.min(one, other), Math.max(one, other)];
      const options = { ...optionsFor(stream, longest), firstRunBytes: shortest };
      const runs = cutAll(splitAt(stream, cuts), options);
      expectRuns(runs, framesOf(given), given, options);
      let chunk = 0;
      runs.forEach((run, index) => {
        const size = Math.min(longest, shortest * 2 ** index);
        chunk += run.count;
        const last = given[chunk - 1] ?? { payload: 0, unpacked: 0 };
        expect(run.frames.length - last.payload - FRAME_HEADER_BYTES).toBeLessThan(size);
        expect(run.unpackedLength - last.unpacked).toBeLessThan(size);
        if (index < runs.length - 1)
          expect(Math.max(run.frames.length, run.unpackedLength)).toBeGreaterThanOrEqual(size);
      });
    });
  });

  test('a run is yielded as soon as it is complete', () => {
    const frames = framesOf([1, 2, 3].map(() => ({ payload: 92, unpacked: 100 })));
    const cutter = new FrameCutter(optionsFor(concat(frames), 100));
    const [first = new Uint8Array(), ...rest] = frames;
    expect([...cutter.push(first)]).toHaveLength(1);
    expect(pushAll(cutter, rest)).toHaveLength(2);
  });

  test('no buffer exceeds a run plus a frame, or the rest of the stream', () => {
    holds(200, fc.tuple(shapes, positions, runBytes), ([given, cuts, size]) => {
      const stream = concat(framesOf(given));
      const options = optionsFor(stream, size);
      for (const run of cutAll(splitAt(stream, cuts), options)) {
        const left = options.start + options.length - run.start;
        expect(run.frames.buffer.byteLength).toBeLessThanOrEqual(Math.min(size + MAX_FRAME_BYTES, left));
      }
    });
  });

  test('a stream of unknown length needs no larger buffers', () => {
    const [first = new Uint8Array()] = framesOf([{ payload: 100, unpacked: 100 }]);
    const cutter = new FrameCutter({ firstChunk: 0, start: 0, length: Number.MAX_SAFE_INTEGER, runBytes: 50 });
    const [run] = cutter.push(first);
    expect(run?.frames.buffer.byteLength).toBe(50 + MAX_FRAME_BYTES);
  });

  test('runs do not change while the rest of the stream is cut', () => {
    const given = Array.from({ length: 20 }, (_, index) => ({ payload: 50 + index, unpacked: 60 }));
    const frames = framesOf(given);
    const stream = concat(frames);
    const options = optionsFor(stream, 120);
    const cutter = new FrameCutter(options);
    const buffers = new Set<ArrayBufferLike>();
    const copies: [Uint8Array, Uint8Array][] = [];
    for (const piece of splitAt(stream, [33, 500, 777])) {
      for (const run of cutter.push(piece)) {
        expect(buffers).not.toContain(run.frames.buffer);
        buffers.add(run.frames.buffer);
        copies.push([run.frames, run.frames.slice()]);
      }
    }
    for (const [frames, copy] of copies) expect(sameBytes(frames, copy)).toBe(true);
    expect(copies.length).toBeGreaterThan(5);
  });

  test('the caller can reuse its buffer after push()', () => {
    const given = [{ payload: 100, unpacked: 100 }];
    const stream = concat(framesOf(given));
    const reused = stream.slice();
    const cutter = new FrameCutter(optionsFor(stream, 1000));
    const runs = [...cutter.push(reused)];
    reused.fill(255);
    runs.push(...cutter.finish());
    expect(sameBytes(concat(runs.map((run) => run.frames)), stream)).toBe(true);
  });

  test('an empty stream has no runs', () => {
    expect(cutAll([], { firstChunk: 0, start: 0, length: 0, runBytes: 100 })).toEqual([]);
  });

  test('frames of the maximum length are accepted', () => {
    const given = [
      { payload: 256 * KIB, unpacked: 128 * KIB },
      { payload: 0, unpacked: 0 },
    ];
    const frames = framesOf(given);
    const stream = concat(frames);
    const options = optionsFor(stream, 1);
    expectRuns(cutAll(splitAt(stream, [100_000]), options), frames, given, options);
  });
});

describe('position of a FrameCutter', () => {
  test('nextChunk and nextStart name the first incomplete frame', () => {
    holds(200, fc.tuple(shapes, fc.nat(40_000), runBytes), ([given, position, size]) => {
      const frames = framesOf(given);
      const stream = concat(frames);
      const options = optionsFor(stream, size);
      const cutter = new FrameCutter(options);
      const pushed = position % (stream.length + 1);
      pushAll(cutter, [stream.subarray(0, pushed)]);
      let whole = 0;
      let count = 0;
      for (const one of frames) {
        if (whole + one.length > pushed) break;
        whole += one.length;
        count++;
      }
      expect(cutter.nextChunk).toBe(options.firstChunk + count);
      expect(cutter.nextStart).toBe(options.start + whole);
      expect(cutter.received).toBe(options.start + pushed);
    });
  });

  test('a stream that breaks anywhere, any number of times, resumes at the last complete frame', () => {
    const breaks = fc.array(fc.tuple(fc.nat(5000), fc.boolean()), { maxLength: 12 });
    holds(300, fc.tuple(shapes, breaks, runBytes), ([given, stops, size]) => {
      const frames = framesOf(given);
      const stream = concat(frames);
      const options = optionsFor(stream, size);
      const cutter = new FrameCutter(options);
      const runs: FrameRun[] = [];
      for (const [bytes, take] of stops) {
        const from = cutter.nextStart - options.start;
        runs.push(...cutter.push(stream.subarray(from, from + bytes)));
        cutter.dropPartial();
        expect(cutter.received).toBe(cutter.nextStart);
        if (take) runs.push(...cutter.takeComplete());
      }
      runs.push(...cutter.push(stream.subarray(cutter.nextStart - options.start)), ...cutter.finish());
      expectRuns(runs, frames, given, options);
    });
  });
});

describe('a xorb footer', () => {
  const footer = concat([new TextEncoder().encode('XETBLOB'), Uint8Array.of(1), splitMix64(3, 200)]);

  test('a footer ends the stream, and the rest is ignored', () => {
    holds(200, fc.tuple(shapes, positions, runBytes), ([given, cuts, size]) => {
      const frames = framesOf(given);
      const stream = concat([...frames, footer]);
      const options = optionsFor(stream, size);
      const cutter = new FrameCutter(options);
      const runs = [...pushAll(cutter, splitAt(stream, cuts)), ...cutter.finish()];
      expectRuns(runs, frames, given, options);
      expect(cutter.atFooter).toBe(true);
      expect([...cutter.push(new Uint8Array(1000).fill(255))]).toEqual([]);
    });
  });

  test('footer bytes inside a frame do not end the stream', () => {
    const given = [{ payload: 300, unpacked: 300 }];
    const [one = new Uint8Array()] = framesOf(given);
    one.set(footer.subarray(0, 100), 50);
    const cutter = new FrameCutter(optionsFor(one, 1000));
    expect([...cutter.push(one), ...cutter.finish()]).toHaveLength(1);
    expect(cutter.atFooter).toBe(false);
  });
});

describe('FrameCutter on malformed data', () => {
  const malformed = { name: 'XetError', code: 'PROTOCOL', retryable: true };

  test('a stream that ends inside a frame is PROTOCOL', () => {
    holds(200, fc.tuple(shapes, fc.nat(40_000), positions, runBytes), ([given, position, cuts, size]) => {
      const frames = framesOf(given);
      const stream = concat(frames);
      const length = position % (stream.length + 1);
      const run = () => cutAll(splitAt(stream.subarray(0, length), cuts), optionsFor(stream, size));
      const ends = frames.map((_, index) => concat(frames.slice(0, index + 1)).length);
      if (length === 0 || ends.includes(length)) expect(run).not.toThrow();
      else expect(thrownBy(run)).toMatchObject(malformed);
    });
  });

  test('more bytes than announced are PROTOCOL', () => {
    holds(200, fc.tuple(shapes, fc.nat(40_000), positions, runBytes), ([given, position, cuts, size]) => {
      const stream = concat(framesOf([{ payload: 10, unpacked: 10 }, ...given]));
      const length = position % stream.length;
      const run = () => cutAll(splitAt(stream, cuts), { ...optionsFor(stream, size), length });
      expect(thrownBy(run)).toMatchObject(malformed);
    });
  });

  const header = (version: number, compressed: number, unpacked: number) => {
    const bytes = frame(0, unpacked, new Uint8Array());
    bytes.set([version, compressed & 255, (compressed >> 8) & 255, compressed >> 16]);
    return bytes;
  };

  test.each([
    ['a version that is not known', header(1, 10, 10)],
    ['the highest version', header(255, 10, 10)],
    ['more compressed bytes than any frame has', header(0, 256 * KIB + 1, 10)],
    ['the most that three bytes can say', header(0, 0xffffff, 10)],
    ['more bytes than any chunk has', header(0, 10, 128 * KIB + 1)],
    ['the most bytes that three bytes can say', header(0, 10, 0xffffff)],
    ['nearly a footer', new TextEncoder().encode('XETBLOC\x01')],
  ])('a header with %s is PROTOCOL', (_, bad) => {
    const good = framesOf([{ payload: 20, unpacked: 20 }]);
    const stream = concat([...good, bad, new Uint8Array(300)]);
    for (const cuts of [[], [good.length + 3], [1, 2, 30]]) {
      // The header alone is enough: nothing waits for the bytes that it announces.
      const cutter = new FrameCutter({ firstChunk: 0, start: 0, length: stream.length, runBytes: 1e6 });
      const upToHeader = stream.subarray(0, stream.length - 300);
      expect(thrownBy(() => pushAll(cutter, splitAt(upToHeader, cuts)))).toMatchObject(malformed);
    }
  });

  test('a frame that is longer than the rest of the stream is PROTOCOL', () => {
    const stream = concat([header(0, 1000, 1000), new Uint8Array(500)]);
    expect(thrownBy(() => cutAll([stream], optionsFor(stream, 1e6)))).toMatchObject(malformed);
  });

  test('arbitrary bytes throw nothing but PROTOCOL', () => {
    const bytes = fc.uint8Array({ maxLength: 600 });
    holds(500, fc.tuple(bytes, positions, runBytes), ([stream, cuts, size]) => {
      try {
        const runs = cutAll(splitAt(stream, cuts), optionsFor(stream, size));
        expect(concat(runs.map((run) => run.frames)).length).toBeLessThanOrEqual(stream.length);
      } catch (error) {
        expect(error).toMatchObject(malformed);
      }
    });
  });
});
