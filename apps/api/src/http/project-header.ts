/**
 * `OpenAI-Project` and `OpenAI-Organization`, which OpenAI's packages send when OPENAI_PROJECT_ID or OPENAI_ORG_ID is set. The key alone says which project a
 * request is of. An id from elsewhere says nothing here and is passed over; one of another project of this installation is a mistake, refused as OpenAI does.
 */
import { idPrefixes } from '@rowsmith/contracts';
import type { ProjectStore } from '@rowsmith/core';
import type { FastifyInstance } from 'fastify';
import { ApiError } from './api-error.js';

const headers = { 'openai-project': 'OpenAI-Project', 'openai-organization': 'OpenAI-Organization' } as const;
const projectId = new RegExp(`^${idPrefixes.project}[0-9A-Za-z]{24}$`);

/** After `requireApiKey`. Costs a query only where another project is named. */
export function refuseOtherProjects(app: FastifyInstance, projects: Pick<ProjectStore, 'get'>): void {
  app.addHook('onRequest', async ({ apiKey, headers: sent }) => {
    if (apiKey === null) return;
    for (const [header, name] of Object.entries(headers)) {
      const id = sent[header];
      if (typeof id !== 'string' || id === apiKey.projectId || !projectId.test(id)) continue;
      if ((await projects.get(id)) === null) continue;
      throw new ApiError(401, { message: `${name} names another project than the API key's.`, code: 'mismatched_project' });
    }
  });
}
