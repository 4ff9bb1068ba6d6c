import { expect, test } from 'vitest';
import { TaskTurns } from '../../src/download/task-turns.ts';

const MIB = 1024 * 1024;

test('a task ends after some megabytes, and not before', async () => {
  const turns = new TaskTurns();
  const { port1, port2 } = new MessageChannel();
  let waiting = 0;
  port1.onmessage = () => waiting--;
  const ended: boolean[] = [];
  for (let index = 0; index < 12; index++) {
    waiting++;
    port2.postMessage(undefined);
    await turns.after(MIB);
    ended.push(waiting === 0);
  }
  port1.close();
  expect(ended).toEqual(Array.from({ length: 12 }, (_, index) => index % 4 === 3));
});
