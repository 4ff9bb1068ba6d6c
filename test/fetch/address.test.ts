import { describe, expect, test } from 'vitest';
import { HubAddresses } from '../../src/fetch/address.ts';

const hub = new HubAddresses('https://hub.example/');
const found = (text: string, addresses = hub) => {
  const address = addresses.find(new URL(text));
  if (!address) return undefined;
  const { repo, revision, path } = address;
  return `${repo.type} ${repo.name} ${revision} ${path}`;
};

describe('HubAddresses', () => {
  test.each([
    ['https://hub.example/owner/name/resolve/main/model.bin', 'model owner/name main model.bin'],
    ['https://hub.example/gpt2/resolve/main/a/b/c.bin', 'model gpt2 main a/b/c.bin'],
    ['https://hub.example/datasets/owner/name/resolve/main/x.parquet', 'dataset owner/name main x.parquet'],
    ['https://hub.example/spaces/owner/name/resolve/main/app.py', 'space owner/name main app.py'],
    ['https://hub.example/owner/name/resolve/refs%2Fpr%2F1/x', 'model owner/name refs/pr/1 x'],
    ['https://hub.example/owner/name/resolve/refs/pr/1/x', 'model owner/name refs/pr/1 x'],
    [
      'https://hub.example/owner/name/resolve/refs%2Fconvert%2Fparquet/a/x',
      'model owner/name refs/convert/parquet a/x',
    ],
    ['https://hub.example/owner/name/resolve/feature%2Fone/dir/x', 'model owner/name feature/one dir/x'],
    ['https://hub.example/owner/name/resolve/main/a%20%231%25.bin', 'model owner/name main a #1%.bin'],
    ['https://hub.example/owner/name/resolve/main/%2525', 'model owner/name main %25'],
    ['https://hub.example/owner/name/resolve/main/x?download=true#part', 'model owner/name main x'],
    ['https://hub.example/owner/resolve/resolve/main/x', 'model owner/resolve main x'],
    ['hf://models/owner/name/x', 'model owner/name main x'],
    ['hf://owner/name/dir/x.bin', 'model owner/name main dir/x.bin'],
    ['hf://owner/name@v1.0/x', 'model owner/name v1.0 x'],
    ['hf://datasets/owner/name@refs/convert/parquet/a/x', 'dataset owner/name refs/convert/parquet a/x'],
    ['hf://spaces/owner/name@feature%2Fone/a%23b', 'space owner/name feature/one a#b'],
    ['https://hub.example/kernels/owner/name/resolve/v1/a.so', 'kernel owner/name v1 a.so'],
    ['https://hub.example/buckets/owner/name/resolve/logs/a%20b', 'bucket owner/name  logs/a b'],
    ['https://hub.example/buckets/owner/name/resolve/refs/pr/1/x', 'bucket owner/name  refs/pr/1/x'],
    ['hf://kernels/owner/name@v1/a.so', 'kernel owner/name v1 a.so'],
    ['hf://buckets/owner/name/logs/x', 'bucket owner/name  logs/x'],
    ['hf://Owner/Name/ä b', 'model Owner/Name main ä b'],
  ])('the file of %s is found', (text, expected) => expect(found(text)).toBe(expected));

  test.each([
    'https://hub.example/',
    'https://hub.example/owner/name',
    'https://hub.example/owner/name/blob/main/x',
    'https://hub.example/owner/name/raw/main/x',
    'https://hub.example/owner/name/tree/main',
    'https://hub.example/owner/name/resolve/main',
    'https://hub.example/owner/name/resolve/main/',
    'https://hub.example/owner/name/resolve/main/a//b',
    'https://hub.example/owner/name/resolve/main/a%5Cb',
    'https://hub.example/owner/name/resolve/main/%2e%2e%2Fb',
    'https://hub.example/owner/name/resolve/main/%ff',
    'https://hub.example/owner/name/resolve/main/%00',
    'https://hub.example/owner/na..me/resolve/main/x',
    'https://hub.example/api/models/owner/name/resolve/main/x',
    'https://hub.example/models/owner/name/resolve/main/x',
    'https://hub.example/api/resolve-cache/models/owner/name/0123/x',
    'https://hub.example/owner/name/resolve/main/x?token=1',
    'https://user:password@hub.example/owner/name/resolve/main/x',
    'https://hub.example:444/owner/name/resolve/main/x',
    'http://hub.example/owner/name/resolve/main/x',
    'https://hub.example.org/owner/name/resolve/main/x',
    'https://huggingface.co/owner/name/resolve/main/x',
    'https://other.example/hub.example/owner/name/resolve/main/x',
    'hf://owner/name',
    'hf://owner',
    'hf://owner/name@/x',
    'hf:owner/name/x',
    'hf://buckets/owner/name@v1/x',
    'hf://buckets/owner/name',
    'hf://collections/owner/name/x',
    'https://hub.example/buckets/owner/resolve/x',
    'https://hub.example/buckets/owner/name/resolve/',
    'data:text/plain,/owner/name/resolve/main/x',
    'blob:https://hub.example/0b6f',
  ])('no file is found in %s', (text) => expect(found(text)).toBeUndefined());

  test('an endpoint with a path is recognised', () => {
    const below = new HubAddresses('https://site.example/hub');
    expect(found('https://site.example/hub/owner/name/resolve/main/x', below)).toBe('model owner/name main x');
    expect(found('https://site.example/owner/name/resolve/main/x', below)).toBeUndefined();
    expect(found('https://site.example/hubs/name/resolve/main/x', below)).toBeUndefined();
  });

  test('URLs of an alias are recognised, and marked', () => {
    const mirrored = new HubAddresses('https://mirror.example', ['https://huggingface.co']);
    const address = (text: string) => mirrored.find(new URL(text));
    expect(address('https://huggingface.co/owner/name/resolve/main/x')?.alias).toBe(true);
    expect(address('https://mirror.example/owner/name/resolve/main/x')?.alias).toBe(false);
    expect(address('hf://owner/name/x')?.alias).toBe(false);
  });

  test('an address contains its URL over plain HTTP', () => {
    expect(hub.find(new URL('hf://datasets/o/n@refs/pr/2/a b#x'))?.url).toBe(
      'https://hub.example/datasets/o/n/resolve/refs%2Fpr%2F2/a%20b',
    );
    const url = 'https://hub.example/o/n/resolve/main/a%20b?download=true';
    expect(hub.find(new URL(`${url}#x`))).toMatchObject({ url, attachment: true });
    expect(hub.find(new URL('https://hub.example/o/n/resolve/main/x?download=false'))?.attachment).toBe(false);
  });
});
