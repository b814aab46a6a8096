/** Signing secrets at rest: the service must sign with them, so they are encrypted (AES-256-GCM) under a key that only the environment holds. */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';

const version = 'v1';
const keyFrom = (pepper: string) => Buffer.from(hkdfSync('sha256', pepper, '', 'rowsmith webhook signing secrets', 32));

export function sealSecret(pepper: string, secret: string): string {
  const iv = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', keyFrom(pepper), iv);
  const sealed = Buffer.concat([cipher.update(secret, 'utf8'), cipher.final(), cipher.getAuthTag()]);
  return [version, iv.toString('base64url'), sealed.toString('base64url')].join('.');
}

/** Throws when it was sealed under another pepper, or altered. */
export function openSecret(pepper: string, text: string): string {
  const [form, iv = '', sealed = ''] = text.split('.');
  if (form !== version) throw new Error(`a webhook secret is sealed in the unknown form ${form}`);
  const bytes = Buffer.from(sealed, 'base64url');
  const decipher = createDecipheriv('aes-256-gcm', keyFrom(pepper), Buffer.from(iv, 'base64url'), { authTagLength: 16 });
  decipher.setAuthTag(bytes.subarray(-16));
  return Buffer.concat([decipher.update(bytes.subarray(0, -16)), decipher.final()]).toString('utf8');
}
