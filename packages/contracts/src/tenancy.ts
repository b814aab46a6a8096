/** Projects, their API keys, what they may use, and who did what. Named as OpenAI's administration API, with scopes, expiry, rotation and quotas added. */
import { type Static, Type } from 'typebox';
import { nullable } from './errors.js';

/** `write` includes `read`; `admin` is everything within the key's own project; `organization` is `admin` of every project. */
export const scopes = [
  'read',
  'write',
  'admin',
  'organization',
  'files:read',
  'files:write',
  'jobs:read',
  'jobs:write',
  'models:read',
  'models:write',
  'webhooks:read',
  'webhooks:write',
  'metrics:read',
] as const;
export type Scope = (typeof scopes)[number];
const ScopeName = Type.Unsafe<Scope>(Type.String({ enum: [...scopes] }));

/** What a write route does, in the audit log. */
export const auditActions = [
  'project.created',
  'project.updated',
  'project.archived',
  'api_key.created',
  'api_key.rotated',
  'api_key.deleted',
  'file.created',
  'file.deleted',
  'upload.created',
  'upload.part_added',
  'upload.completed',
  'upload.cancelled',
  'job.created',
  'job.cloned',
  'job.started',
  'job.cancelled',
  'job.paused',
  'job.resumed',
  'job.checkpoint_requested',
  'job.deleted',
  'model.deleted',
  'webhook_endpoint.created',
  'webhook_endpoint.updated',
  'webhook_endpoint.deleted',
  'webhook_endpoint.secret_rotated',
  'webhook_endpoint.tested',
  'webhook_delivery.replayed',
] as const;
export type AuditAction = (typeof auditActions)[number];

const count = (description: string) => nullable(Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, description }));
const smallCount = (description: string) => nullable(Type.Integer({ minimum: 0, maximum: 1_000_000_000, description }));
/** null: no limit. */
export const ProjectQuotas = Type.Object({
  running_jobs: smallCount('more wait in the queue'),
  queued_jobs: smallCount('further ones are refused'),
  storage_bytes: count('files, and uploads in parts that are not over'),
  device_seconds_per_month: count('time of attempts in a calendar month (UTC); jobs that run when it is spent run on'),
  requests_per_minute: smallCount('of all keys of the project together'),
});
export type ProjectQuotas = Static<typeof ProjectQuotas>;
const QuotaChange = Type.Partial(ProjectQuotas, { additionalProperties: false, minProperties: 1 });

const Name = Type.String({ minLength: 1, maxLength: 128 });
export const CreateProjectBody = Type.Object({ name: Name, quotas: Type.Optional(QuotaChange) }, { additionalProperties: false });
export const UpdateProjectBody = Type.Object(
  { name: Type.Optional(Name), quotas: Type.Optional(QuotaChange) },
  { additionalProperties: false, minProperties: 1 },
);
const UnixSeconds = Type.Integer({ minimum: 0, maximum: 253_402_300_799, description: 'unix seconds' });
export const CreateApiKeyBody = Type.Object(
  {
    name: Name,
    scopes: Type.Optional(
      Type.Array(ScopeName, { minItems: 1, maxItems: scopes.length, uniqueItems: true, description: 'default: write' }),
    ),
    expires_at: Type.Optional(nullable(UnixSeconds)),
  },
  { additionalProperties: false },
);
export const RotateApiKeyBody = Type.Object(
  {
    overlap_seconds: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 2_592_000, description: 'the old key works as well for this long; default 86400' }),
    ),
  },
  { additionalProperties: false },
);

export const ProjectObject = Type.Object({
  object: Type.Literal('organization.project'),
  id: Type.String(),
  name: Type.String(),
  created_at: Type.Integer(),
  archived_at: nullable(Type.Integer()),
  status: Type.Unsafe<'active' | 'archived'>(Type.String({ enum: ['active', 'archived'] })),
  quotas: ProjectQuotas,
});
export type ProjectObject = Static<typeof ProjectObject>;

export const ApiKeyObject = Type.Object({
  object: Type.Literal('organization.project.api_key'),
  id: Type.String(),
  project_id: Type.String(),
  name: Type.String(),
  redacted_value: Type.String(),
  scopes: Type.Array(ScopeName),
  created_at: Type.Integer(),
  expires_at: nullable(Type.Integer()),
  last_used_at: nullable(Type.Integer({ description: 'to the minute' })),
  value: Type.Optional(Type.String({ description: 'only in the answer that made it: it is shown once and stored nowhere' })),
});
export type ApiKeyObject = Static<typeof ApiKeyObject>;

export const ApiKeyDeleted = Type.Object({
  object: Type.Literal('organization.project.api_key.deleted'),
  id: Type.String(),
  deleted: Type.Boolean(),
});

const Used = Type.Object({ used: Type.Number(), limit: nullable(Type.Number()) });
export const ProjectUsage = Type.Object({
  object: Type.Literal('organization.project.usage'),
  project_id: Type.String(),
  period_start: Type.Integer({ description: 'first second of the month that device time is counted in' }),
  period_end: Type.Integer({ description: 'first second of the next one' }),
  running_jobs: Used,
  queued_jobs: Used,
  storage_bytes: Used,
  device_seconds_per_month: Used,
});
export type ProjectUsage = Static<typeof ProjectUsage>;

export const AuditLogObject = Type.Object({
  object: Type.Literal('organization.audit_log'),
  id: Type.String(),
  type: Type.Unsafe<AuditAction>(Type.String({ enum: [...auditActions] })),
  effective_at: Type.Integer(),
  project: Type.Object({ id: Type.String(), name: Type.String() }),
  actor: Type.Object({
    type: Type.Literal('api_key'),
    api_key: Type.Object({ id: Type.String(), name: Type.String() }),
    ip_address: Type.String(),
  }),
  resource_id: nullable(Type.String({ description: 'of what was made, changed or asked for' })),
  status: Type.Integer({ description: 'HTTP status; 403: the key was not allowed to' }),
  request_id: Type.String(),
});
export type AuditLogObject = Static<typeof AuditLogObject>;
