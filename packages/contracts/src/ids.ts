/** Identifiers. Wire form: OpenAI's prefixes (api.md d.1), then 24 characters of base62. */
import { Type } from 'typebox';

declare const brand: unique symbol;
/** A string that was checked at the edge; casts to a brand live only in this package. */
export type Brand<T extends string> = string & { readonly [brand]: T };

export type ProjectId = Brand<'project'>;
export type ApiKeyId = Brand<'api_key'>;
export type JobId = Brand<'job'>;
export type FileId = Brand<'file'>;
export type EventId = Brand<'event'>;
export type CheckpointId = Brand<'checkpoint'>;
export type WorkerId = Brand<'worker'>;
export type UploadId = Brand<'upload'>;
export type UploadPartId = Brand<'upload_part'>;
export type WebhookEndpointId = Brand<'webhook_endpoint'>;
export type WebhookDeliveryId = Brand<'webhook_delivery'>;
export type AuditLogId = Brand<'audit_log'>;

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/** 24 base62 characters (142 bits) from `bytes`; at least 48 random bytes are needed, rejection keeps it unbiased. */
export function base62FromBytes(bytes: Uint8Array, length = 24): string {
  let text = '';
  for (const byte of bytes) {
    if (byte >= 248) continue;
    text += alphabet[byte % 62];
    if (text.length === length) return text;
  }
  throw new RangeError(`base62FromBytes: ${bytes.length} bytes are too few for ${length} characters`);
}

export const idPrefixes = {
  project: 'proj_',
  apiKey: 'key_',
  job: 'ftjob-',
  file: 'file-',
  event: 'ftevent-',
  checkpoint: 'ftckpt_',
  worker: 'worker-',
  upload: 'upload_',
  uploadPart: 'part_',
  webhookEndpoint: 'whe_',
  webhookDelivery: 'whd_',
  auditLog: 'audit_log-',
} as const;

const idPattern = (prefix: string) => `^${prefix}[0-9A-Za-z]{24}$`;
export const JobIdSchema = Type.Unsafe<JobId>(Type.String({ pattern: idPattern(idPrefixes.job) }));
export const FileIdSchema = Type.Unsafe<FileId>(Type.String({ pattern: idPattern(idPrefixes.file) }));
export const EventIdSchema = Type.Unsafe<EventId>(Type.String({ pattern: idPattern(idPrefixes.event) }));
export const CheckpointIdSchema = Type.Unsafe<CheckpointId>(Type.String({ pattern: idPattern(idPrefixes.checkpoint) }));

interface IdByKind {
  project: ProjectId;
  apiKey: ApiKeyId;
  job: JobId;
  file: FileId;
  event: EventId;
  checkpoint: CheckpointId;
  worker: WorkerId;
  upload: UploadId;
  uploadPart: UploadPartId;
  webhookEndpoint: WebhookEndpointId;
  webhookDelivery: WebhookDeliveryId;
  auditLog: AuditLogId;
}

/** A fresh id of one kind; `random` gives n random bytes (crypto.randomBytes). */
export function newId<K extends keyof IdByKind>(kind: K, random: (n: number) => Uint8Array): IdByKind[K] {
  return `${idPrefixes[kind]}${base62FromBytes(random(64))}` as IdByKind[K];
}

/** Tells whether `value` has the shape of an id of that kind, and narrows it. */
export function isId<K extends keyof IdByKind>(kind: K, value: string): value is IdByKind[K] {
  return new RegExp(idPattern(idPrefixes[kind])).test(value);
}
