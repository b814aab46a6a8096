/** Base models of the model store, and the project's own fine-tuned ones. */
import { listOf, ModelDeleted, ModelObject } from '@rowsmith/contracts';
import type { JobRecord, JobStore } from '@rowsmith/core';
import { Type } from 'typebox';
import { notFound, notPossible } from '../http/api-error.js';
import { projectOf } from '../http/auth.js';
import { unixSeconds } from '../http/paging.js';
import { failures, json, named } from '../http/replies.js';
import type { Routes } from '../http/routes.js';
import type { BaseModel, BaseModels } from './base-models.js';

export interface ModelDeps {
  readonly models: BaseModels;
  readonly jobs: Pick<JobStore, 'listFineTuned' | 'succeededByModel' | 'deleteModel'>;
}

const Model = named(ModelObject, 'Model');
/** Longest name: base id, project, suffix, job id. */
export const ModelParams = Type.Object({ id: Type.String({ minLength: 1, maxLength: 512 }) }, { additionalProperties: false });

export const noSuchModel = (id: string) => notFound(`The model '${id}' does not exist.`, 'model_not_found', 'model');
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
      config: { scope: 'models:read' },
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
      config: { scope: 'models:read' },
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
      if (job === null) throw noSuchModel(id);
      return ofJob(job);
    },
  );

  app.delete(
    `${prefix.models}/:id`,
    {
      config: { scope: 'models:write', action: 'model.deleted' },
      schema: {
        tags: ['models'],
        summary: 'Delete a fine-tuned model',
        description: "The model is no longer listed or found; its job's record and adapter stay. Base models belong to the operator (400).",
        params: ModelParams,
        response: { 200: json('It is gone', named(ModelDeleted, 'ModelDeleted')), ...failures(404) },
      },
    },
    async (request) => {
      const { id } = request.params;
      if (await jobs.deleteModel(projectOf(request), id)) return { id, object: 'model' as const, deleted: true };
      if ((await models.get(id)) !== null)
        throw notPossible(`'${id}' is a base model, which cannot be deleted here.`, 'model_not_deletable', 'model');
      throw noSuchModel(id);
    },
  );
};
