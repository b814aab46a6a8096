/** Projects, what they have used, and the log of who did what. All times are the database's. */
import type { ApiKeyId, AuditAction, AuditLogId, ProjectId, ProjectQuotas, Scope } from '@rowsmith/contracts';
import type { Page, PageOf } from './ports.js';

export interface ProjectRecord {
  readonly id: ProjectId;
  readonly name: string;
  readonly createdAt: Date;
  readonly archivedAt: Date | null;
  readonly quotas: ProjectQuotas;
}
export interface ProjectUse {
  readonly periodStart: Date;
  readonly periodEnd: Date;
  readonly runningJobs: number;
  readonly queuedJobs: number;
  readonly storageBytes: number;
  readonly deviceSeconds: number;
}
export interface ProjectStore {
  /** 'name_taken': names are unique, archived projects' too. */
  create(project: {
    readonly id: ProjectId;
    readonly name: string;
    readonly quotas: Partial<ProjectQuotas>;
  }): Promise<ProjectRecord | 'name_taken'>;
  get(id: string): Promise<ProjectRecord | null>;
  list(page: Page & { readonly archived: boolean }): Promise<PageOf<ProjectRecord>>;
  /** 'default': the project where the environment's keys live keeps its name. */
  update(
    id: string,
    change: { readonly name?: string | undefined; readonly quotas: Partial<ProjectQuotas> },
  ): Promise<ProjectRecord | 'name_taken' | 'default' | null>;
  /** Its keys stop working. 'busy': it has unfinished jobs; 'default': the environment's keys live there. Again: as it is. */
  archive(id: string): Promise<ProjectRecord | 'busy' | 'default' | null>;
  usage(id: string): Promise<ProjectUse | null>;
}

export interface ApiKeyRecord {
  readonly id: ApiKeyId;
  readonly projectId: ProjectId;
  readonly name: string;
  readonly last4: string;
  readonly scopes: readonly Scope[];
  readonly createdAt: Date;
  readonly expiresAt: Date | null;
  /** To the minute. */
  readonly lastUsedAt: Date | null;
}
export interface AuthenticatedKey extends ApiKeyRecord {
  /** Of the project; null: no limit. */
  readonly projectRequestsPerMinute: number | null;
}
type Secret = { readonly id: ApiKeyId; readonly hash: string; readonly last4: string };
export interface ApiKeyStore {
  /** Looks the key up by the HMAC of its secret part, and notes that it was used; expired and revoked keys, and those of archived projects, are null. */
  findByHash(hash: string): Promise<AuthenticatedKey | null>;
  /** Makes the default project if there is none, and a key with this hash and the scope `organization` in it if it is not there yet. */
  ensure(key: { readonly hash: string; readonly last4: string; readonly name: string }): Promise<ApiKeyRecord>;
  /** 'full': the project has `limit` keys that are not revoked. */
  create(key: Secret & Pick<ApiKeyRecord, 'projectId' | 'name' | 'scopes' | 'expiresAt'>, limit: number): Promise<ApiKeyRecord | 'full'>;
  /** Revoked ones are null, expired ones are there. */
  get(projectId: ProjectId, id: string): Promise<ApiKeyRecord | null>;
  list(projectId: ProjectId, page: Page): Promise<PageOf<ApiKeyRecord>>;
  revoke(projectId: ProjectId, id: string): Promise<boolean>;
  /**
   * A key with the same name, scopes and length of life; the old one expires after `overlapSeconds`, or when it would have anyway.
   * 'expired': the old one has already.
   */
  rotate(projectId: ProjectId, id: string, next: Secret, overlapSeconds: number): Promise<ApiKeyRecord | 'expired' | null>;
}

export interface AuditRecord {
  readonly id: AuditLogId;
  readonly createdAt: Date;
  readonly projectId: ProjectId;
  readonly projectName: string;
  readonly keyId: ApiKeyId;
  readonly keyName: string;
  readonly action: AuditAction;
  readonly resourceId: string | null;
  readonly status: number;
  readonly ip: string;
  readonly requestId: string;
}
export interface AuditFilter {
  /** null: of all projects. */
  readonly projectIds: readonly string[] | null;
  readonly actions?: readonly string[] | undefined;
  readonly keyIds?: readonly string[] | undefined;
  readonly resourceIds?: readonly string[] | undefined;
  /** Bounds of the time, unix seconds; an entry of that second is within both. */
  readonly from?: number | undefined;
  readonly until?: number | undefined;
}
export interface AuditStore {
  record(entry: Omit<AuditRecord, 'createdAt' | 'projectName' | 'keyName'>): Promise<void>;
  /** Newest first. 'no_cursor': `after` is no entry of these projects. */
  list(filter: AuditFilter, page: Page): Promise<PageOf<AuditRecord> | 'no_cursor'>;
  /** Forgets at most `batch` entries that are older than so many days, the oldest first. Returns how many. */
  dropOlder(days: number, batch: number): Promise<number>;
}
