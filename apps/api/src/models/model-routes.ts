/** Base models of the model store, and the project's own fine-tuned ones. */
import { listOf, ModelObject } from '@rowsmith/contracts';
import type { JobRecord, JobStore } from '@rowsmith/core';
import { Type } from 'typebox';
import { notFound } from '../http/api-error.js';
import { projectOf } from '../http/auth.js';
import { unixSeconds } from '../http/paging.js';
import { failures, json, named } from '../http/replies.js';
import type { Routes } from '../http/routes.js';
import type { BaseModel, BaseModels } from './base-models.js';

export interface ModelDeps {
  readonly models: BaseModels;
  readonly jobs: Pick<JobStore, 'listFineTuned' | 'succeededByModel'>;
}

const Model = named(ModelObject, 'Model');
/** Longest name: base id, project, suffix, job id. */
const ModelParams = Type.Object({ id: Type.String({ minLength: 1, maxLength: 512 }) }, { additionalProperties: false });

const ofBase = (model: BaseModel): ModelObject => ({ id: model.id, object: 'model', created: model.created_at, owned_by: 'rowsmith' });
const ofJob = (job: JobRecord): ModelObject => ({
  id: job.fineTunedModel ?? job.id,
  object: 'model',
  created: unixSeconds(job.finishedAt ?? job.createdAt),
  owned_by: job.projectId,
});

export const modelRoutes: Routes<ModelDeps> = (app, { models, jobs }, prefix) => {
  app.get(
    prefix.models,
    {
      schema: {
        tags: ['models'],
        summary: 'List models',
        response: { 200: json('Base models, then fine-tuned ones', listOf(Model)), ...failures() },
      },
    },
    async (request) => {
      const [base, tuned] = await Promise.all([models.list(), jobs.listFineTuned(projectOf(request))]);
      return { object: 'list' as const, data: [...base.map(ofBase), ...tuned.map(ofJob)], has_more: false };
    },
  );

  app.get(
    `${prefix.models}/:id`,
    {
      schema: {
        tags: ['models'],
        summary: 'Get a model',
        params: ModelParams,
        response: { 200: json('The model', Model), ...failures(404) },
      },
    },
    async (request) => {
      const { id } = request.params;
      const base = await models.get(id);
      if (base !== null) return ofBase(base);
      const job = await jobs.succeededByModel(projectOf(request), id);
      if (job === null) throw notFound(`The model '${id}' does not exist.`, 'model_not_found', 'model');
      return ofJob(job);
    },
  );
};
