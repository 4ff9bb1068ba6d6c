import { expect, test } from 'vitest';
import { BLOCK_BYTES, Block, ReadBlocks } from '../../../src/http/node/read-blocks.ts';

const read = (blocks: ReadBlocks, bytes: number, expected: number) => {
  const room = blocks.room(expected);
  const block = blocks.current;
  expect(room.byteOffset).toBe(block.used);
  block.used += Math.min(bytes, room.length);
  return block;
};

test('short answers follow each other in a little memory', () => {
  const blocks = new ReadBlocks();
  const used = new Set(Array.from({ length: 10 }, () => read(blocks, 1000, 1000)));
  expect([...used].map(({ memory }) => memory.length)).toEqual([16 * 1024]);
});

test('a long one goes round in as much memory as is looked at', () => {
  const blocks = new ReadBlocks();
  const memories = new Set<ArrayBuffer>();
  for (let piece = 0; piece < 100; piece++) {
    const block = read(blocks, BLOCK_BYTES, 1e9);
    // Somebody looks at it, and is done before the next but one is read.
    block.hold();
    memories.add(block.memory.buffer);
    block.letGo();
  }
  expect(memories.size).toBeLessThanOrEqual(2);
});

test('what somebody looks at is not read into', () => {
  const blocks = new ReadBlocks();
  const held = Array.from({ length: 20 }, () => {
    const block = read(blocks, BLOCK_BYTES, 1e9);
    block.hold();
    return block;
  });
  expect(new Set(held.map(({ memory }) => memory.buffer)).size).toBe(held.length);
  for (const block of held) block.letGo();
});

test('no more than a few are kept', () => {
  const made = Array.from({ length: 20 }, () => new Block(BLOCK_BYTES));
  const before = new Set(made.map(({ memory }) => memory));
  for (const block of made) block.letGo();
  const again = Array.from({ length: 20 }, () => new Block(BLOCK_BYTES));
  expect(again.filter(({ memory }) => before.has(memory))).toHaveLength(8);
});
