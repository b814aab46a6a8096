/** Projects as OpenAI's administration API has them, with quotas and what is used of them. */
import { randomBytes } from 'node:crypto';
import { CreateProjectBody, listOf, newId, ProjectObject, ProjectUsage, UpdateProjectBody } from '@rowsmith/contracts';
import type { ProjectStore } from '@rowsmith/core';
import { Type } from 'typebox';
import { badRequest, notPossible } from '../http/api-error.js';
import { projectOf } from '../http/auth.js';
import { listOfItems, pageQuery, requireCursor } from '../http/paging.js';
import { failures, json, named } from '../http/replies.js';
import { requireScope } from '../http/route-access.js';
import type { Routes } from '../http/routes.js';
import { callerProject, managesAll, noSuchProject } from './caller-project.js';
import { toProjectObject, toUsageObject } from './organization-objects.js';

export interface ProjectDeps {
  readonly projects: ProjectStore;
}

export const ProjectParams = Type.Object(
  { id: Type.String({ minLength: 1, maxLength: 128, description: "`current` is the key's own" }) },
  { additionalProperties: false },
);
const ListQuery = Type.Object({ ...pageQuery(20, 100), include_archived: Type.Optional(Type.Boolean()) }, { additionalProperties: false });
const Project = named(ProjectObject, 'Project');
const tags = ['organization'];

const nameTaken = (name: string | undefined) => notPossible(`There is a project named '${name ?? ''}' already.`, 'name_taken', 'name');

export const projectRoutes: Routes<ProjectDeps> = (app, { projects }, { organization }) => {
  const path = `${organization}/projects`;

  app.post(
    path,
    {
      config: { scope: 'organization', action: 'project.created' },
      schema: {
        ...{ tags, summary: 'Create a project', body: CreateProjectBody },
        response: { 200: json('The project', Project), ...failures(413, 415) },
      },
    },
    async (request) => {
      const { name, quotas = {} } = request.body;
      const project = await projects.create({ id: newId('project', randomBytes), name, quotas });
      if (project === 'name_taken') throw nameTaken(name);
      request.auditProject = project.id;
      return toProjectObject(project);
    },
  );

  app.get(
    path,
    {
      config: { scope: 'admin' },
      schema: {
        ...{ tags, summary: 'List projects', querystring: ListQuery },
        description: "With the scope `organization` all of them, else the key's own.",
        response: { 200: json('Projects, newest first', listOf(Project)), ...failures() },
      },
    },
    async (request) => {
      const { after, limit = 20, include_archived: archived = false } = request.query;
      if (managesAll(request)) {
        await requireCursor(after, (id) => projects.get(id), 'project');
        return listOfItems(await projects.list({ after, limit, archived }), toProjectObject);
      }
      const own = await projects.get(projectOf(request));
      await requireCursor(after, async (id) => (id === own?.id ? own : null), 'project');
      return listOfItems({ items: own === null || after !== undefined ? [] : [own], hasMore: false }, toProjectObject);
    },
  );

  app.get(
    `${path}/:id`,
    {
      config: { scope: 'admin' },
      schema: {
        ...{ tags, summary: 'Get a project', params: ProjectParams },
        response: { 200: json('The project', Project), ...failures(404) },
      },
    },
    async (request) => toProjectObject(await callerProject(request, projects, request.params.id)),
  );

  app.post(
    `${path}/:id`,
    {
      config: { scope: 'admin', action: 'project.updated' },
      schema: {
        ...{ tags, summary: 'Rename a project or change its quotas', params: ProjectParams, body: UpdateProjectBody },
        description: 'Quotas that are not named stay as they are; null takes one away. They need the scope `organization`.',
        response: { 200: json('The project', Project), ...failures(404, 413, 415) },
      },
    },
    async (request) => {
      const { name, quotas } = request.body;
      const { id } = await callerProject(request, projects, request.params.id);
      if (quotas !== undefined) requireScope(request, 'organization');
      const project = await projects.update(id, { name, quotas: quotas ?? {} });
      if (project === 'name_taken') throw nameTaken(name);
      if (project === 'default') throw badRequest('The default project keeps its name.', 'invalid_value', 'name');
      if (project === null) throw noSuchProject(id);
      return toProjectObject(project);
    },
  );

  app.post(
    `${path}/:id/archive`,
    {
      config: { scope: 'admin', action: 'project.archived' },
      schema: {
        ...{ tags, summary: 'Archive a project', params: ProjectParams },
        description:
          'For good: its keys stop working, what it has is kept. Refused while it has unfinished jobs. Needs the scope `organization`.',
        response: { 200: json('The project', Project), ...failures(404, 413, 415) },
      },
    },
    async (request) => {
      const { id } = await callerProject(request, projects, request.params.id);
      requireScope(request, 'organization');
      const project = await projects.archive(id);
      if (project === 'busy') throw notPossible(`Project ${id} has unfinished jobs; cancel them first.`, 'project_busy', 'id');
      if (project === 'default') throw notPossible('The default project cannot be archived.', 'default_project', 'id');
      if (project === null) throw noSuchProject(id);
      return toProjectObject(project);
    },
  );

  app.get(
    `${path}/:id/usage`,
    {
      config: { scope: 'read' },
      schema: {
        ...{ tags, summary: 'What a project uses of its quotas', params: ProjectParams },
        response: { 200: json('Now, and of this calendar month (UTC)', named(ProjectUsage, 'ProjectUsage')), ...failures(404) },
      },
    },
    async (request) => {
      const project = await callerProject(request, projects, request.params.id);
      const use = await projects.usage(project.id);
      if (use === null) throw noSuchProject(request.params.id);
      return toUsageObject(project, use);
    },
  );
};
