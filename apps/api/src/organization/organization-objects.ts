import type { ApiKeyObject, AuditLogObject, ProjectObject, ProjectUsage } from '@rowsmith/contracts';
import type { ApiKeyRecord, AuditRecord, ProjectRecord, ProjectUse } from '@rowsmith/core';
import { unixSeconds } from '../http/paging.js';

const unixOrNull = (date: Date | null) => (date === null ? null : unixSeconds(date));

export const toProjectObject = ({ id, name, createdAt, archivedAt, quotas }: ProjectRecord): ProjectObject => ({
  object: 'organization.project',
  id,
  name,
  created_at: unixSeconds(createdAt),
  archived_at: unixOrNull(archivedAt),
  status: archivedAt === null ? 'active' : 'archived',
  quotas,
});

export const toKeyObject = (key: ApiKeyRecord): ApiKeyObject => ({
  object: 'organization.project.api_key',
  id: key.id,
  project_id: key.projectId,
  name: key.name,
  redacted_value: `rsk_...${key.last4}`,
  scopes: [...key.scopes],
  created_at: unixSeconds(key.createdAt),
  expires_at: unixOrNull(key.expiresAt),
  last_used_at: unixOrNull(key.lastUsedAt),
});

export const toUsageObject = ({ id, quotas }: ProjectRecord, use: ProjectUse): ProjectUsage => ({
  object: 'organization.project.usage',
  project_id: id,
  period_start: unixSeconds(use.periodStart),
  period_end: unixSeconds(use.periodEnd),
  running_jobs: { used: use.runningJobs, limit: quotas.running_jobs },
  queued_jobs: { used: use.queuedJobs, limit: quotas.queued_jobs },
  storage_bytes: { used: use.storageBytes, limit: quotas.storage_bytes },
  device_seconds_per_month: { used: use.deviceSeconds, limit: quotas.device_seconds_per_month },
});

export const toAuditObject = (entry: AuditRecord): AuditLogObject => ({
  object: 'organization.audit_log',
  id: entry.id,
  type: entry.action,
  effective_at: unixSeconds(entry.createdAt),
  project: { id: entry.projectId, name: entry.projectName },
  actor: { type: 'api_key', api_key: { id: entry.keyId, name: entry.keyName }, ip_address: entry.ip },
  resource_id: entry.resourceId,
  status: entry.status,
  request_id: entry.requestId,
});
