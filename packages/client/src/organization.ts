/** Projects, their API keys and quotas, and the audit log. Every project may be named `current`: that of the key which asks. */
import type { ApiKeyObject, AuditAction, AuditLogObject, ProjectObject, ProjectQuotas, ProjectUsage, Scope } from '@rowsmith/contracts';
import { type Calls, given, type ListOf, type PageOptions, pageOf, path, unwrap } from './calls.js';

export interface ProjectChanges {
  readonly name?: string;
  /** What is not named stays; null: no limit. */
  readonly quotas?: Partial<ProjectQuotas>;
}
export interface ApiKeyOptions {
  /** `write` if not given. */
  readonly scopes?: readonly Scope[];
  /** Unix seconds. */
  readonly expiresAt?: number;
}
export interface AuditOptions extends PageOptions {
  readonly actions?: readonly AuditAction[];
  readonly projectIds?: readonly string[];
  readonly keyIds?: readonly string[];
  readonly resourceIds?: readonly string[];
}

export interface OrganizationMethods {
  createProject(name: string, quotas?: Partial<ProjectQuotas>): Promise<ProjectObject>;
  listProjects(page?: PageOptions & { readonly includeArchived?: boolean }): Promise<ListOf<ProjectObject>>;
  getProject(id: string): Promise<ProjectObject>;
  updateProject(id: string, changes: ProjectChanges): Promise<ProjectObject>;
  /** For good: its keys stop working. */
  archiveProject(id: string): Promise<ProjectObject>;
  projectUsage(id: string): Promise<ProjectUsage>;
  /** The answer holds the key, this one time. */
  createApiKey(project: string, name: string, options?: ApiKeyOptions): Promise<ApiKeyObject>;
  listApiKeys(project: string, page?: PageOptions): Promise<ListOf<ApiKeyObject>>;
  getApiKey(project: string, key: string): Promise<ApiKeyObject>;
  /** The answer holds the new key; the old one works as well for `overlapSeconds` (a day if not given). */
  rotateApiKey(project: string, key: string, options?: { readonly overlapSeconds?: number }): Promise<ApiKeyObject>;
  revokeApiKey(project: string, key: string): Promise<void>;
  /** Newest first. */
  listAuditLogs(options?: AuditOptions): Promise<ListOf<AuditLogObject>>;
}

const pathOf = (id: string, key: string) => ({ path: { id, key } });
const listOf = <T>(values: readonly T[] | undefined) => values && [...values];

export function organizationMethods({ api }: Calls): OrganizationMethods {
  return {
    createProject: async (name, quotas) => unwrap(await api.POST('/v1/organization/projects', { body: { name, ...given({ quotas }) } })),
    listProjects: async ({ includeArchived, ...page } = {}) =>
      unwrap(
        await api.GET('/v1/organization/projects', {
          params: { query: { ...pageOf(page), ...given({ include_archived: includeArchived }) } },
        }),
      ),
    getProject: async (id) => unwrap(await api.GET('/v1/organization/projects/{id}', { params: path(id) })),
    updateProject: async (id, changes) =>
      unwrap(await api.POST('/v1/organization/projects/{id}', { params: path(id), body: given({ ...changes }) })),
    archiveProject: async (id) => unwrap(await api.POST('/v1/organization/projects/{id}/archive', { params: path(id) })),
    projectUsage: async (id) => unwrap(await api.GET('/v1/organization/projects/{id}/usage', { params: path(id) })),
    createApiKey: async (project, name, { scopes, expiresAt } = {}) =>
      unwrap(
        await api.POST('/v1/organization/projects/{id}/api_keys', {
          params: path(project),
          body: { name, ...given({ scopes: listOf(scopes), expires_at: expiresAt }) },
        }),
      ),
    listApiKeys: async (project, page) =>
      unwrap(await api.GET('/v1/organization/projects/{id}/api_keys', { params: { ...path(project), query: pageOf(page) } })),
    getApiKey: async (project, key) =>
      unwrap(await api.GET('/v1/organization/projects/{id}/api_keys/{key}', { params: pathOf(project, key) })),
    rotateApiKey: async (project, key, { overlapSeconds } = {}) =>
      unwrap(
        await api.POST('/v1/organization/projects/{id}/api_keys/{key}/rotate', {
          params: pathOf(project, key),
          body: given({ overlap_seconds: overlapSeconds }),
        }),
      ),
    revokeApiKey: async (project, key) => {
      unwrap(await api.DELETE('/v1/organization/projects/{id}/api_keys/{key}', { params: pathOf(project, key) }));
    },
    listAuditLogs: async ({ actions, projectIds, keyIds, resourceIds, ...page } = {}) =>
      unwrap(
        await api.GET('/v1/organization/audit_logs', {
          params: {
            query: {
              ...pageOf(page),
              ...given({
                'event_types[]': listOf(actions),
                'project_ids[]': listOf(projectIds),
                'actor_ids[]': listOf(keyIds),
                'resource_ids[]': listOf(resourceIds),
              }),
            },
          },
        }),
      ),
  };
}
