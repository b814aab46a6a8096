/** What the service needs to know of its workers, and of objects that nothing needs any more. */
import type { JobId, WorkerId } from '@rowsmith/contracts';

/** What a worker says of itself at every heartbeat. */
export interface WorkerBeat {
  readonly id: WorkerId;
  /** e.g. `cpu`, `cuda-80g`: which jobs it takes. */
  readonly deviceClass: string;
  /** Attempts it runs at a time. */
  readonly slots: number;
  readonly version: string;
  readonly host: string;
  /** Its clock less the database's, as last measured. */
  readonly skewMs: number;
}
export interface WorkerRecord extends WorkerBeat {
  readonly startedAt: Date;
  readonly heartbeatAt: Date;
  /** Not gone, and heard of within the time that was asked for, by the database's clock. */
  readonly alive: boolean;
  /** Jobs of its attempts that have not ended. */
  readonly jobs: readonly JobId[];
}
export interface WorkerStore {
  /** Registers or renews. Returns the database's time, in milliseconds. */
  beat(worker: WorkerBeat): Promise<number>;
  /** It goes away on purpose. */
  leave(id: WorkerId): Promise<void>;
  /** Those heard of within a day, alive first. */
  list(aliveMs: number): Promise<readonly WorkerRecord[]>;
  /** Jobs that wait for the class or run on it; with `any` also waiting ones that fit every class. */
  wantedSlots(deviceClass: string, any: boolean): Promise<number>;
}

/** For the collection of garbage: the tables say what is needed. */
export interface ReferenceStore {
  /** Of these object keys, those that no row refers to. Asked after the objects were listed, so that what a row got meanwhile is kept. */
  unreferenced(keys: readonly string[]): Promise<readonly string[]>;
}
