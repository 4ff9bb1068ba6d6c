import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import { parseLocation, parseRepo, XetClient, XetError } from 'xetkit';
import * as codecEntry from 'xetkit/codec';
import { createXetCache } from 'xetkit/fetch';
import { readGgufHeader, readSafetensors } from 'xetkit/formats';
import { XetReader } from 'xetkit/read';
import { clientOf, hubFor } from '../support/hub.ts';

type Call = (...args: unknown[]) => unknown;

const WRONG = [undefined, null, 5, Symbol('none'), () => 1, [], {}, { repo: null }, { repo: 'owner/model', nope: 1 }];
const WRONG_OPTIONS = [null, 5, 'text', Symbol('none'), () => 1, [], { nope: 1 }];

/** The error of a call, however it fails, with the arguments for the message. */
async function refused(call: () => unknown): Promise<unknown> {
  try {
    const result = call();
    const isGenerator = typeof result === 'object' && result !== null && 'next' in result;
    return { accepted: await (isGenerator ? (result as AsyncGenerator).next() : result) };
  } catch (error) {
    return error;
  }
}

async function expectRefusals(calls: Record<string, Call>, values: readonly unknown[]): Promise<void> {
  for (const [name, call] of Object.entries(calls)) {
    for (const value of values) {
      const error = await refused(() => call(value));
      expect(error, `${name}(${inspect(value)})`).toBeInstanceOf(XetError);
      expect(error, name).toMatchObject({ code: 'INVALID_ARGUMENT' });
    }
  }
}

const methodsOf = (object: object, names: string[]) =>
  Object.fromEntries(
    names.map((name) => [name, (...args: unknown[]) => (object as Record<string, Call>)[name]?.apply(object, args)]),
  );

test('methods of a client refuse what makes no sense', async () => {
  const client = clientOf(await hubFor());
  const names = ['listFiles', 'fileInfo', 'open', 'downloadFile', 'snapshot', 'planSnapshot', 'upload'];
  await expectRefusals(methodsOf(client, [...names, 'deleteFiles', 'createRepo', 'createBranch']), WRONG);
  await expectRefusals(methodsOf(client.cache, ['usage', 'prune', 'verify']), WRONG_OPTIONS);
  await expectRefusals({ remove: (target) => (client.cache.remove as Call)([target]) }, [null, 5, {}, { repo: null }]);
});

test('constructors refuse what makes no sense', async () => {
  const made = { XetClient, XetReader, createXetCache };
  for (const [name, Made] of Object.entries(made)) {
    const make = (options: unknown) => new (Made as unknown as new (given: unknown) => unknown)(options);
    await expectRefusals({ [name]: make }, WRONG_OPTIONS);
  }
});

test('readers of formats and parsers of names refuse what is no source and no text', async () => {
  await expectRefusals({ readGgufHeader: readGgufHeader as Call, readSafetensors: readSafetensors as Call }, WRONG);
  await expectRefusals({ parseRepo: parseRepo as Call }, WRONG);
  await expectRefusals({ parseLocation: parseLocation as Call }, WRONG);
});

test('the codec refuses what are no bytes', async () => {
  const codec = await codecEntry.loadCodec();
  const none = [undefined, null, 'text', {}];
  const names = [
    'decodeRun',
    'decodeRunInPlace',
    'recordsOf',
    'chunkHash',
    'xorbHash',
    'fileHash',
    'readShard',
    'crc64',
  ];
  await expectRefusals(methodsOf(codec, [...names, 'verificationHash', 'serializeXorb', 'packInPlace']), none);
  const { chunkCount, chunkLength, chunkSlice, chunkHashHex, hashFromHex, hashToHex, totalLength } = codecEntry;
  const functions = { chunkCount, chunkLength, chunkSlice, chunkHashHex, hashFromHex, hashToHex, totalLength };
  await expectRefusals(functions as unknown as Record<string, Call>, none);
  const crc64 = (before: unknown) => (codec.crc64 as Call)(new Uint8Array(8), before);
  await expectRefusals({ crc64, hashFromHex: hashFromHex as Call }, [null, 5, 'text', {}, Object.create(null)]);
});

test('a file refuses positions that are no numbers', async () => {
  const hub = await hubFor();
  await hub.commitFiles('owner/model', { 'config.json': new TextEncoder().encode('{}') });
  const file = await clientOf(hub).open({ repo: 'owner/model', path: 'config.json' });
  const positions = [undefined, null, '1', 1n, Symbol('none'), [], {}, Object.create(null)];
  await expectRefusals({ start: (at) => (file.read as Call).call(file, at, 1) }, positions);
  await expectRefusals({ end: (at) => (file.read as Call).call(file, 0, at) }, positions);
});
