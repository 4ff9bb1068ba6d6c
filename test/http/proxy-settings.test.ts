import { describe, expect, test } from 'vitest';
import { basicCredentials, certificateFiles, proxyFor, routeTo } from '../../src/http/proxy-settings.node.ts';

const proxy = 'http://proxy.example:3128';
const chosen = (url: string, env: Record<string, string>) => proxyFor(new URL(url), env)?.href.replace(/\/$/, '');

describe('the proxy for an address', () => {
  test.each<[string, Record<string, string>, string | undefined]>([
    ['https://hub.example/a', {}, undefined],
    ['https://hub.example/a', { HTTPS_PROXY: proxy }, proxy],
    ['https://hub.example/a', { https_proxy: proxy, HTTPS_PROXY: 'http://other.example' }, proxy],
    ['https://hub.example/a', { HTTPS_PROXY: '' }, undefined],
    ['https://hub.example/a', { HTTP_PROXY: proxy }, undefined],
    ['http://hub.example/a', { HTTP_PROXY: proxy }, proxy],
    ['http://hub.example/a', { HTTPS_PROXY: proxy }, undefined],
    ['http://hub.example/a', { ALL_PROXY: proxy }, proxy],
    ['https://hub.example/a', { all_proxy: 'http://other.example', HTTPS_PROXY: proxy }, proxy],
    ['https://hub.example/a', { HTTPS_PROXY: 'proxy.example:3128' }, proxy],
    ['https://hub.example/a', { HTTPS_PROXY: 'http://me:pass@proxy.example' }, 'http://me:pass@proxy.example'],
    ['http://127.0.0.1:8080/a', { HTTP_PROXY: proxy }, undefined],
    ['http://localhost:8080/a', { HTTP_PROXY: proxy }, undefined],
    ['http://[::1]:8080/a', { HTTP_PROXY: proxy }, undefined],
  ])('%s with %j', (url, env, expected) => expect(chosen(url, env)).toBe(expected));

  test.each([
    ['*', 'https://hub.example', false],
    ['hub.example', 'https://hub.example', false],
    ['.example', 'https://hub.example', false],
    ['*.example', 'https://hub.example', false],
    ['example', 'https://cas.hub.example', false],
    ['EXAMPLE', 'https://hub.example', false],
    ['a.example, hub.example', 'https://hub.example', false],
    ['a.example hub.example', 'https://hub.example', false],
    ['ub.example', 'https://hub.example', true],
    ['hub.example:443', 'https://hub.example', false],
    ['hub.example:8443', 'https://hub.example', true],
    ['hub.example:8443', 'https://hub.example:8443', false],
    ['10.0.0.0/8', 'https://10.1.2.3', false],
    ['10.0.0.0/8', 'https://11.1.2.3', true],
    ['10.0.0.0/8', 'https://hub.example', true],
    ['10.0.0.0/99', 'https://10.1.2.3', true],
    ['fd00::/8', 'https://[fd12::1]', false],
    ['fd12::1', 'https://[fd12::1]', false],
    ['[fd12::1]:443', 'https://[fd12::1]', false],
    ['', 'https://hub.example', true],
  ])('NO_PROXY=%s: %s through it: %s', (exceptions, url, through) =>
    expect(chosen(url, { HTTPS_PROXY: proxy, NO_PROXY: exceptions }) !== undefined).toBe(through),
  );

  test.each([
    ['http://us er:secret#x@proxy.example', 'HTTPS_PROXY'],
    ['"http://user:secret@proxy.example:3128"', 'https_proxy'],
    ["'proxy.example:3128'", 'ALL_PROXY'],
    ['http://user:sec#ret@proxy.example', 'all_proxy'],
    ['http://proxy.example:99999', 'HTTPS_PROXY'],
    ['http://', 'HTTPS_PROXY'],
    ['http://proxy.example?x', 'HTTPS_PROXY'],
    ['http://a\nb', 'HTTPS_PROXY'],
  ])('%j is refused, naming %s and not showing the password', (value, name) => {
    let error: unknown;
    try {
      chosen('https://hub.example', { [name]: value });
    } catch (reason) {
      error = reason;
    }
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', retryable: false });
    expect(String(error)).toMatch(
      new RegExp(`^XetError: ${name} is not the address of a proxy\\. Write it as http://host:port`),
    );
    expect(String(error)).not.toContain('secret');
  });

  test('blanks and line breaks around it are dropped', () => {
    expect(chosen('https://hub.example', { HTTPS_PROXY: ` ${proxy}/ \r\n` })).toBe(proxy);
    expect(chosen('https://hub.example', { HTTPS_PROXY: ' \n', ALL_PROXY: proxy })).toBe(proxy);
  });

  test('one that does not speak HTTP is refused, with what to do', () => {
    expect(() => chosen('https://hub.example', { ALL_PROXY: 'socks5://proxy.example:1080' })).toThrow(
      /names a socks5:\/\/ proxy.*http:\/\/ or https:\/\//,
    );
  });
});

test('files of certificates: each once, and not what Node reads by itself', () => {
  expect(certificateFiles({})).toEqual([]);
  expect(certificateFiles({ SSL_CERT_FILE: '/a', REQUESTS_CA_BUNDLE: '/a', CURL_CA_BUNDLE: '/b' })).toEqual([
    '/a',
    '/b',
  ]);
  expect(certificateFiles({ SSL_CERT_FILE: '/a', NODE_EXTRA_CA_CERTS: '/a' })).toEqual([]);
});

test('a way is its proxy, and what is trusted on it', () => {
  const env = { HTTPS_PROXY: proxy, SSL_CERT_FILE: '/a', NODE_EXTRA_CA_CERTS: '/b' };
  const route = routeTo(new URL('https://hub.example/'), env);
  expect([route.proxy?.origin, route.certificates]).toEqual([proxy, ['/a', '/b']]);
  expect(routeTo(new URL('http://hub.example/'), { NODE_EXTRA_CA_CERTS: '/b' })).toEqual({ certificates: [] });
});

test.each([
  ['http://proxy.example', undefined],
  ['http://me@proxy.example', 'me:'],
  ['http://me:s%40cret%C3%A9@proxy.example', 'me:s@creté'],
  ['http://me:100%@proxy.example', 'me:100%'],
])('%s says of whoever asks %s', (url, expected) => {
  const said = basicCredentials(new URL(url));
  expect(said && Buffer.from(said.replace('Basic ', ''), 'base64').toString()).toBe(expected);
});
