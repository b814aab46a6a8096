/** Metrics of a job by step, as JSON or as CSV. */
import { Readable } from 'node:stream';
import { MetricPoint } from '@rowsmith/contracts';
import type { JobStore } from '@rowsmith/core';
import { tfeventsHeader, tfeventsRecord } from '@rowsmith/tracking';
import { Type } from 'typebox';
import { metricPoints } from '../control/result-file.js';
import { noSuchJob } from '../http/api-error.js';
import { projectOf } from '../http/auth.js';
import { unixSeconds } from '../http/paging.js';
import { failures, named, streamed } from '../http/replies.js';
import type { Routes } from '../http/routes.js';
import { JobParams } from './job-params.js';
import { metricsCsvHeader, metricsCsvRow } from './metrics-csv.js';

const MetricsQuery = Type.Object(
  {
    after_step: Type.Optional(Type.Integer({ minimum: -1, maximum: 2_147_483_647, description: 'only steps above this one' })),
    limit: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 10_000, description: 'points a page of JSON; 1000 if not given. CSV has all' }),
    ),
    format: Type.Optional(
      Type.Unsafe<'json' | 'csv' | 'tensorboard'>(
        Type.String({ enum: ['json', 'csv', 'tensorboard'], description: 'wins over the Accept header; tensorboard is an event file' }),
      ),
    ),
  },
  { additionalProperties: false },
);
const MetricList = Type.Object({
  object: Type.Literal('list'),
  data: Type.Array(named(MetricPoint, 'MetricPoint')),
  has_more: Type.Boolean(),
});

export const metricRoutes: Routes<{ readonly jobs: Pick<JobStore, 'get' | 'metrics'> }> = (app, { jobs }, prefix) => {
  app.get(
    `${prefix.jobs}/:id/metrics`,
    {
      config: { scope: 'jobs:read' },
      schema: {
        tags: ['fine-tuning'],
        summary: 'Metrics of a job, by step',
        params: JobParams,
        querystring: MetricsQuery,
        response: {
          200: {
            description: 'Points, ascending by step',
            content: {
              'application/json': { schema: MetricList },
              'text/csv': { schema: streamed },
              'application/octet-stream': { schema: streamed },
            },
          },
          ...failures(404),
        },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      const { after_step: afterStep = -1, limit = 1_000 } = request.query;
      const format = request.query.format ?? (/\btext\/csv\b/i.test(request.headers.accept ?? '') ? 'csv' : 'json');
      if (format === 'json') {
        const points = await jobs.metrics(projectOf(request), id, afterStep, limit + 1);
        if (points === null) throw noSuchJob(id);
        return { object: 'list' as const, data: points.slice(0, limit), has_more: points.length > limit };
      }
      const job = await jobs.get(projectOf(request), id);
      if (job === null) throw noSuchJob(id);
      if (format === 'tensorboard') {
        const began = job.createdAt.getTime() / 1000;
        const records = async function* () {
          yield tfeventsHeader(began);
          // Times of single steps are not kept: what the job's seconds say is near enough for TensorBoard's relative axis.
          let at = began;
          for await (const point of metricPoints(jobs, job, afterStep)) {
            at += point.seconds ?? 0;
            yield tfeventsRecord(point, at);
          }
        };
        return reply
          .type('application/octet-stream')
          .header('content-disposition', `attachment; filename="events.out.tfevents.${unixSeconds(job.createdAt)}.${job.id}"`)
          .send(Readable.from(records(), { objectMode: false }));
      }
      const lines = async function* () {
        yield metricsCsvHeader();
        for await (const point of metricPoints(jobs, job, afterStep)) yield metricsCsvRow(point);
      };
      return reply.type('text/csv; charset=utf-8').send(Readable.from(lines(), { objectMode: false }));
    },
  );
};
