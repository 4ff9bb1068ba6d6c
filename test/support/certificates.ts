import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';

// Certificates that live as long as a test, written as DER by hand, as Node reads them but makes none.

export interface Certified {
  /** PEM. */
  certificate: string;
  /** PEM. */
  key: string;
}

/** An authority that nobody knows, and a certificate by it for some names. */
export function certificates(...names: string[]): { authority: Certified; server: Certified } {
  const authority = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const server = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const issuer = 'Test authority';
  const byIssuer = { issuer, signer: authority.privateKey };
  const isAuthority = extension('551d13', sequence(tlv(0x01, Buffer.of(0xff))), true);
  const forNames = extension('551d11', sequence(...names.map((name) => tlv(0x82, Buffer.from(name)))));
  const certified = (key: KeyObject, der: Buffer): Certified => ({
    certificate: pem('CERTIFICATE', der),
    key: key.export({ type: 'pkcs8', format: 'pem' }) as string,
  });
  return {
    authority: certified(
      authority.privateKey,
      certify({ ...byIssuer, subject: issuer, key: authority.publicKey, extensions: [isAuthority] }),
    ),
    server: certified(
      server.privateKey,
      certify({ ...byIssuer, subject: names[0] ?? '', key: server.publicKey, extensions: [forNames] }),
    ),
  };
}

interface Certification {
  issuer: string;
  signer: KeyObject;
  subject: string;
  key: KeyObject;
  extensions: Buffer[];
}

function certify({ issuer, signer, subject, key, extensions }: Certification): Buffer {
  const ecdsaWithSha256 = sequence(oid('2a8648ce3d040302'));
  const dayMs = 86_400_000;
  const content = sequence(
    tlv(0xa0, tlv(0x02, Buffer.of(2))),
    tlv(0x02, Buffer.concat([Buffer.of(1), randomBytes(8)])),
    ecdsaWithSha256,
    name(issuer),
    sequence(time(Date.now() - dayMs), time(Date.now() + dayMs)),
    name(subject),
    key.export({ type: 'spki', format: 'der' }),
    tlv(0xa3, sequence(...extensions)),
  );
  return sequence(content, ecdsaWithSha256, tlv(0x03, Buffer.concat([Buffer.of(0), sign('sha256', content, signer)])));
}

function tlv(tag: number, value: Buffer): Buffer {
  const { length } = value;
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.of(tag, ...size), value]);
}

const sequence = (...parts: Buffer[]) => tlv(0x30, Buffer.concat(parts));
const oid = (hex: string) => tlv(0x06, Buffer.from(hex, 'hex'));
const name = (common: string) => sequence(tlv(0x31, sequence(oid('550403'), tlv(0x0c, Buffer.from(common)))));
const time = (ms: number) => tlv(0x17, Buffer.from(`${new Date(ms).toISOString().replace(/\D/g, '').slice(2, 14)}Z`));
const extension = (id: string, value: Buffer, critical = false) =>
  sequence(oid(id), ...(critical ? [tlv(0x01, Buffer.of(0xff))] : []), tlv(0x04, value));
const pem = (label: string, der: Buffer) => {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n');
};
