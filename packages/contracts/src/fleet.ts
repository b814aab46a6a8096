/** Workers, and how many there should be. */
import { type Static, Type } from 'typebox';

/** Lower-case letters, digits and hyphens, e.g. cpu or cuda-80g: on every worker of a class a job ends with the same bytes. */
export const DeviceClassName = Type.String({ pattern: '^[a-z0-9][a-z0-9-]{0,31}$' });

export const WorkerObject = Type.Object({
  object: Type.Literal('worker'),
  id: Type.String(),
  device_class: Type.String(),
  slots: Type.Integer({ description: 'jobs at a time' }),
  alive: Type.Boolean({ description: 'heard of within the last seconds' }),
  version: Type.String(),
  started_at: Type.Integer(),
  heartbeat_at: Type.Integer(),
  clock_skew_ms: Type.Integer({ description: "the worker's clock minus the database's" }),
  running: Type.Integer({ description: 'jobs that it runs' }),
});
export type WorkerObject = Static<typeof WorkerObject>;

export const SlotsObject = Type.Object({
  object: Type.Literal('slots'),
  device_class: Type.String(),
  slots: Type.Integer({ description: 'jobs that wait for this class or run on it: what an autoscaler should provide' }),
});
export type SlotsObject = Static<typeof SlotsObject>;
