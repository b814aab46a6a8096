/** Which projects a caller may manage: its own, or with the scope `organization` every one. What it may not is a 404, as if it were not there. */
import type { ProjectId, Scope } from '@rowsmith/contracts';
import { covers, type ProjectRecord, type ProjectStore } from '@rowsmith/core';
import type { FastifyRequest } from 'fastify';
import { notFound, notPossible } from '../http/api-error.js';
import { callerOf } from '../http/auth.js';
import { missingScope } from '../http/route-access.js';

export const noSuchProject = (id: string) => notFound(`No such project: '${id}'.`, 'project_not_found', 'id');

export const managesAll = (request: FastifyRequest) => covers(callerOf(request).scopes, 'organization');

/** `current` is the caller's own. What is done to it is logged as done there. */
export async function callerProject(request: FastifyRequest, projects: Pick<ProjectStore, 'get'>, id: string): Promise<ProjectRecord> {
  const own: ProjectId = callerOf(request).projectId;
  const wanted = id === 'current' ? own : id;
  const project = wanted === own || managesAll(request) ? await projects.get(wanted) : null;
  if (project === null) throw noSuchProject(id);
  request.auditProject = project.id;
  return project;
}

/** Nobody gives, renews or takes away more than they have themselves. */
export function requireCovered(request: FastifyRequest, scopes: readonly Scope[]): void {
  const missing = scopes.find((scope) => !covers(callerOf(request).scopes, scope));
  if (missing !== undefined) throw missingScope(missing);
}

export function requireActive({ id, archivedAt }: ProjectRecord): void {
  if (archivedAt !== null) throw notPossible(`Project ${id} is archived.`, 'project_archived', 'id');
}
