/** What a job on a base model may ask for, for the calling project. */
import { ModelLimits } from '@rowsmith/contracts';
import type { JobStore, ProjectStore } from '@rowsmith/core';
import { notFound, unavailable } from '../http/api-error.js';
import { projectOf } from '../http/auth.js';
import { failures, json, named } from '../http/replies.js';
import type { Routes } from '../http/routes.js';
import type { BaseModels } from './base-models.js';
import { modelLimits, type ServiceLimits } from './model-limits.js';
import { ModelParams, noSuchModel } from './model-routes.js';

export interface LimitDeps {
  readonly models: Pick<BaseModels, 'get'>;
  readonly jobs: Pick<JobStore, 'succeededByModel'>;
  readonly projects: Pick<ProjectStore, 'get'>;
  readonly service: ServiceLimits;
}

export const limitRoutes: Routes<LimitDeps> = (app, { models, jobs, projects, service }, prefix) => {
  app.get(
    `${prefix.models}/:id/limits`,
    {
      config: { scope: 'models:read' },
      schema: {
        tags: ['models'],
        summary: 'What a job on a base model may ask for',
        description:
          'Bounds and values of every field for this model, what the service takes, and the quotas of your project: what creating a job checks.',
        params: ModelParams,
        response: { 200: json('The limits', named(ModelLimits, 'ModelLimits')), ...failures(404) },
      },
    },
    async (request) => {
      const { id } = request.params;
      const base = await models.get(id);
      if (base === null) {
        const job = await jobs.succeededByModel(projectOf(request), id);
        if (job === null) throw noSuchModel(id);
        const message = `'${id}' is a fine-tuned model; jobs name a base model, here '${job.model}', whose limits are at .../models/${job.model}/limits. To go on from its rows, give row_sparse.warm_start_from: '${job.id}'.`;
        throw notFound(message, 'model_not_found', 'model');
      }
      const project = await projects.get(projectOf(request));
      if (project === null) throw unavailable('The project cannot be read now.');
      return modelLimits(base, service, project);
    },
  );
};
