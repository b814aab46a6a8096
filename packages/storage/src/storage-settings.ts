/** Where objects are, from a process's environment: the same names for every process of the service. */
import { join, resolve } from 'node:path';
import type { StorageLocation } from '@rowsmith/contracts';
import { namesOfKey } from './object-key.js';

type Source = Readonly<Record<string, string | undefined>>;

/** Where the SDK looks for credentials; a process that starts another one passes them on by these names. */
export const storageSecretNames = [
  'AWS_ACCESS_KEY_ID',
  'AWS_SECRET_ACCESS_KEY',
  'AWS_SESSION_TOKEN',
  'AWS_PROFILE',
  'AWS_CONFIG_FILE',
  'AWS_SHARED_CREDENTIALS_FILE',
  'AWS_ROLE_ARN',
  'AWS_ROLE_SESSION_NAME',
  'AWS_WEB_IDENTITY_TOKEN_FILE',
  'AWS_CONTAINER_CREDENTIALS_FULL_URI',
  'AWS_CONTAINER_CREDENTIALS_RELATIVE_URI',
  'AWS_CONTAINER_AUTHORIZATION_TOKEN',
  'AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE',
  'NODE_EXTRA_CA_CERTS',
] as const;

/** Empty values count as absent. Returns every fault, without the values. */
export function storageSettings(
  source: Source,
  dataDir: string,
): { readonly location: StorageLocation; readonly faults: readonly string[] } {
  const given = (name: string): string | null => source[name] || null;
  const faults: string[] = [];
  const driver = given('ROWSMITH_STORAGE') ?? 'fs';
  if (driver !== 's3') {
    if (driver !== 'fs') faults.push('ROWSMITH_STORAGE must be fs or s3');
    return { location: { driver: 'fs', root: join(resolve(dataDir), 'objects') }, faults };
  }
  const bucket = given('ROWSMITH_S3_BUCKET') ?? '';
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket))
    faults.push('ROWSMITH_S3_BUCKET must name a bucket (3 to 63 lower-case letters, digits, dots and hyphens) when ROWSMITH_STORAGE is s3');
  const endpoint = given('ROWSMITH_S3_ENDPOINT');
  if (endpoint !== null && !isPlainUrl(endpoint))
    faults.push(
      'ROWSMITH_S3_ENDPOINT must be a URL that starts with http:// or https:// and holds no password (credentials go into AWS_*)',
    );
  const prefix = given('ROWSMITH_S3_PREFIX') ?? '';
  if (prefix !== '' && !isKey(prefix))
    faults.push('ROWSMITH_S3_PREFIX must be names of letters, digits, dots, hyphens and underscores with slashes between');
  const region = given('ROWSMITH_S3_REGION') ?? given('AWS_REGION') ?? 'us-east-1';
  return { location: { driver: 's3', bucket, prefix, region, endpoint }, faults };
}

function isPlainUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, username, password } = new URL(text);
  return ['http:', 'https:'].includes(protocol) && username === '' && password === '';
}

function isKey(text: string): boolean {
  try {
    namesOfKey(text);
    return true;
  } catch {
    return false;
  }
}
