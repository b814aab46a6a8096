/** Events of a job: as a list, newest first, or live when the client accepts `text/event-stream`. */
import { Readable } from 'node:stream';
import { JobEvent, listOf } from '@rowsmith/contracts';
import type { EventNotifier, JobRecord, JobStore } from '@rowsmith/core';
import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { ApiError, badRequest, noSuchJob } from '../http/api-error.js';
import { projectOf } from '../http/auth.js';
import { listOfItems, noSuchCursor, pageQuery } from '../http/paging.js';
import { failures, named, streamed } from '../http/replies.js';
import type { Routes } from '../http/routes.js';
import { toEventObject } from './job-object.js';
import { JobParams } from './job-params.js';
import { eventFrames, type StreamTiming } from './sse.js';

export interface EventDeps {
  readonly jobs: Pick<JobStore, 'get' | 'events' | 'eventsSince'>;
  readonly notifier: EventNotifier;
  /** The job as clients may see it (a succeeded one has its result file). */
  readonly present: (job: JobRecord) => Promise<JobRecord>;
  /** Aborts when the server stops: live streams end, clients reconnect elsewhere. */
  readonly closing: AbortSignal;
  readonly maxStreamsPerKey: number;
  readonly openStreams: Map<string, number>;
  readonly timing: StreamTiming;
}

const EventsQuery = Type.Object(pageQuery(20, 100), { additionalProperties: false });

/** Event names are numbers of ours; 0 replays everything. */
function lastEventId(request: FastifyRequest): number {
  const header = request.headers['last-event-id'];
  if (header === undefined || header === '') return 0;
  if (typeof header !== 'string' || !/^\d{1,9}$/.test(header))
    throw badRequest('Last-Event-ID must be the id of an event of this stream.', 'invalid_value', 'Last-Event-ID');
  return Number(header);
}

const wantsStream = (request: FastifyRequest) => (request.headers.accept ?? '').toLowerCase().includes('text/event-stream');

export const eventRoutes: Routes<EventDeps> = (app, deps, prefix) => {
  app.get(
    `${prefix.jobs}/:id/events`,
    {
      config: { scope: 'jobs:read' },
      schema: {
        tags: ['fine-tuning'],
        summary: 'Events of a job',
        description:
          'Newest first as JSON. With `Accept: text/event-stream` live, oldest first: `id` numbers the events of the job, `Last-Event-ID` goes on after one, `event: done` ends the stream of a finished job.',
        params: JobParams,
        querystring: EventsQuery,
        response: {
          200: {
            description: 'Events',
            content: {
              'application/json': { schema: listOf(named(JobEvent, 'FineTuningJobEvent')) },
              'text/event-stream': { schema: streamed },
            },
          },
          ...failures(404),
        },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      const project = projectOf(request);
      if (!wantsStream(request)) {
        const page = await deps.jobs.events(project, id, { after: request.query.after, limit: request.query.limit ?? 20 });
        if (page === null) throw noSuchJob(id);
        if (page === 'no_cursor') throw noSuchCursor(request.query.after, 'event');
        return listOfItems(page, toEventObject);
      }
      if (request.query.after !== undefined || request.query.limit !== undefined) {
        throw badRequest(
          'A live stream takes no `after` or `limit`; use the header Last-Event-ID.',
          'invalid_value',
          request.query.after === undefined ? 'limit' : 'after',
        );
      }
      const afterSeq = lastEventId(request);
      const job = await deps.jobs.get(project, id);
      if (job === null) throw noSuchJob(id);
      const caller = request.apiKey?.id ?? '';
      const open = deps.openStreams.get(caller) ?? 0;
      if (open >= deps.maxStreamsPerKey) {
        throw new ApiError(429, {
          message: `This key has ${open} live streams open, which is the limit.`,
          code: 'too_many_streams',
          headers: { 'retry-after': '5', 'retry-after-ms': '5000' },
        });
      }
      deps.openStreams.set(caller, open + 1);
      const gone = new AbortController();
      reply.raw.once('close', () => {
        gone.abort();
        const left = (deps.openStreams.get(caller) ?? 1) - 1;
        if (left > 0) deps.openStreams.set(caller, left);
        else deps.openStreams.delete(caller);
      });
      const readJob = async () => {
        const current = await deps.jobs.get(project, id);
        return current === null ? null : deps.present(current);
      };
      const frames = eventFrames(deps.jobs, deps.notifier, job, readJob, {
        ...deps.timing,
        afterSeq,
        signal: AbortSignal.any([deps.closing, gone.signal]),
      });
      // Proxies must neither buffer nor transform what is meant to arrive now.
      // The connection ends with the stream: a stopping server must not wait for idle ones.
      reply
        .headers({ 'cache-control': 'no-cache, no-transform', 'x-accel-buffering': 'no', connection: 'close' })
        .type('text/event-stream; charset=utf-8');
      return reply.send(Readable.from(frames, { objectMode: false }));
    },
  );
};
