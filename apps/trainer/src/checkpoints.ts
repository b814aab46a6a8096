import { encodeRows, rowsFileName } from '@rowsmith/adapter';
import type { CheckpointManifest, CheckpointMetrics, CheckpointState, FromTrainer, TrainerStart } from '@rowsmith/contracts';
import type { LinearInfo } from '@rowsmith/engine';
import { encodeSafetensors } from '@rowsmith/hf';
import { type Binding, encodeManifest, manifestName, optimizerName } from './checkpoint-manifest.js';
import { type Objects, upload } from './object-files.js';
import { isDelta, rowsOf } from './row-stacks.js';

type Ref = TrainerStart['resume_from'][number];

export interface CheckpointsOptions {
  readonly store: Objects;
  /** `jobs/<job>/e<epoch>`: no other attempt writes below it. */
  readonly folder: string;
  readonly epoch: number;
  readonly binding: Binding;
  readonly linears: readonly LinearInfo[];
  /** Newest ones that are kept. */
  readonly keep: number;
  readonly everyMs: number;
  readonly clock: () => number;
  readonly send: (message: FromTrainer) => Promise<void>;
  /** The checkpoint that the attempt went on from, and those before it. Newest first. */
  readonly earlier: readonly Ref[];
}

/** Checkpoints of one attempt: when they are due, how they are published, which older ones go. */
export class Checkpoints {
  /** Recorded ones in ascending order; the last is the newest that is known to be good. */
  readonly #recorded: string[];
  #previousSha256: string | null;
  #lastStep: number;
  #lastAt: number;

  constructor(private readonly options: CheckpointsOptions) {
    const [from] = options.earlier;
    this.#recorded = options.earlier.map(({ manifest_key }) => manifest_key).reverse();
    this.#previousSha256 = from?.manifest_sha256 ?? null;
    this.#lastStep = from?.step ?? -1;
    this.#lastAt = options.clock();
  }

  /** By the time since the last one (or since the start). Decides when work is saved, never a result. */
  due(): boolean {
    return this.options.clock() - this.#lastAt >= this.options.everyMs;
  }

  /** Publishes: data, then the manifest, then the message. Does nothing when this step is saved already. */
  async write(state: CheckpointState, metrics: CheckpointMetrics): Promise<void> {
    if (state.step <= this.#lastStep) return;
    const { store, binding, epoch, linears, send } = this.options;
    const folder = `${this.options.folder}/checkpoint-${state.step}`;
    const optimizer = new Map([...state.buffers].filter(([name]) => !isDelta(name)));
    const files = [
      await upload(store, folder, rowsFileName, encodeRows(rowsOf(state, linears), binding.base_sha256)),
      await upload(store, folder, optimizerName, encodeSafetensors(optimizer, { format: 'rowsmith-optimizer/1' })),
    ];
    const manifest: CheckpointManifest = {
      format: 'rowsmith-checkpoint/1',
      ...binding,
      epoch,
      step: state.step,
      previous_sha256: this.#previousSha256,
      cursor: { ...state.cursor },
      metrics,
      files,
    };
    const written = await upload(store, folder, manifestName, encodeManifest(manifest));
    this.#previousSha256 = written.sha256;
    this.#lastStep = state.step;
    this.#lastAt = this.options.clock();
    const bytes = files.reduce((sum, file) => sum + file.bytes, written.bytes);
    await send({ type: 'checkpoint', step: state.step, manifest_key: written.key, manifest_sha256: written.sha256, metrics, bytes });
  }

  /**
   * The tables hold `manifestKey` now. Older ones beyond `keep` are deleted, manifest first, so that a half-deleted checkpoint does not exist. Only here: an attempt
   * that has lost its job never gets this far, so it deletes nothing of its successor's.
   */
  async recorded(manifestKey: string): Promise<void> {
    this.#recorded.push(manifestKey);
    while (this.#recorded.length > this.options.keep) {
      const old = this.#recorded.shift() as string;
      const folder = old.slice(0, -manifestName.length - 1);
      for (const name of [manifestName, rowsFileName, optimizerName]) await this.options.store.delete(`${folder}/${name}`);
    }
  }
}
