/** What operators and autoscalers ask about the fleet. No job ids: workers serve every project. */
import { DeviceClassName, listOf, SlotsObject, WorkerObject } from '@rowsmith/contracts';
import type { WorkerRecord, WorkerStore } from '@rowsmith/core';
import { Type } from 'typebox';
import { unixSeconds } from '../http/paging.js';
import { failures, json } from '../http/replies.js';
import type { Routes } from '../http/routes.js';

export interface FleetDeps {
  readonly workers: Pick<WorkerStore, 'list' | 'wantedSlots'>;
  /** Silence after which a worker counts as gone. */
  readonly workerSilenceMs: number;
}

const tags = ['fleet'];
const SlotsQuery = Type.Object(
  {
    device_class: DeviceClassName,
    any: Type.Optional(
      Type.Boolean({
        description: 'count also jobs that fit every class; true for one class of a fleet, or several would start workers for them',
      }),
    ),
  },
  { additionalProperties: false },
);

const toWorkerObject = (worker: WorkerRecord): WorkerObject => ({
  object: 'worker',
  id: worker.id,
  device_class: worker.deviceClass,
  slots: worker.slots,
  alive: worker.alive,
  version: worker.version,
  started_at: unixSeconds(worker.startedAt),
  heartbeat_at: unixSeconds(worker.heartbeatAt),
  clock_skew_ms: worker.skewMs,
  running: worker.jobs.length,
});

export const fleetRoutes: Routes<FleetDeps> = (app, { workers, workerSilenceMs }, { fleet }) => {
  app.get(
    `${fleet}/workers`,
    {
      config: { scope: 'metrics:read' },
      schema: {
        ...{ tags, summary: 'Workers of the last day, those alive first' },
        response: { 200: json('Workers', listOf(WorkerObject)), ...failures() },
      },
    },
    async () => {
      const data = (await workers.list(workerSilenceMs)).map(toWorkerObject);
      return { object: 'list' as const, data, has_more: false, first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null };
    },
  );

  app.get(
    `${fleet}/slots`,
    {
      config: { scope: 'metrics:read' },
      schema: {
        ...{ tags, summary: 'How many jobs a device class should be able to run', querystring: SlotsQuery },
        description: 'For autoscalers: KEDA reads `slots` (infra/kubernetes).',
        response: { 200: json('Wanted slots', SlotsObject), ...failures() },
      },
    },
    async (request) => {
      const { device_class: deviceClass, any = false } = request.query;
      return { object: 'slots' as const, device_class: deviceClass, slots: await workers.wantedSlots(deviceClass, any) };
    },
  );
};
