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
  /** Of the arithmetic; for the record: their number changes no bit. */
  readonly threads: number;
  readonly linears: readonly LinearInfo[];
  /** Newest ones that are kept. */
  readonly keep: number;
  readonly everyMs: number;
  readonly clock: () => number;
  /** Step of which, or of a later one, a checkpoint was asked for; null: none was. */
  readonly wanted: () => number | null;
  readonly send: (message: FromTrainer) => Promise<void>;
  /** The checkpoint that the attempt went on from, and those before it. Newest first. */
  readonly earlier: readonly Ref[];
  /** Step of the lowest validation loss when the attempt begins: of the earlier ones, this is kept. null: none is to be kept. */
  readonly bestStep: number | null;
}

/** Checkpoints of one attempt: when they are due, how they are published, which older ones go. */
export class Checkpoints {
  /** Recorded ones in ascending order; the last is the newest that is known to be good. */
  readonly #recorded: string[];
  /** All that may still be there, ascending. */
  readonly #known: Ref[];
  /** Of the lowest validation loss: never deleted. It takes the place of its predecessor when the tables hold it. */
  #best: string | null;
  #comingBest: string | null = null;
  #previousSha256: string | null;
  #lastStep: number;
  #lastAt: number;

  constructor(private readonly options: CheckpointsOptions) {
    const [from] = options.earlier;
    this.#known = [...options.earlier].reverse();
    this.#recorded = this.#known.map(({ manifest_key }) => manifest_key);
    this.#best = options.earlier.find(({ step }) => step === options.bestStep)?.manifest_key ?? null;
    this.#previousSha256 = from?.manifest_sha256 ?? null;
    this.#lastStep = from?.step ?? -1;
    this.#lastAt = options.clock();
  }

  /**
   * Whether work is to be saved after `step`: by the time since the last one (or since the start), or because somebody asked. An attempt that repeats steps waits for the one that
   * was asked for, so that one wish makes one checkpoint. Decides when work is saved, never a result.
   */
  due(step: number): boolean {
    const wanted = this.options.wanted();
    if (wanted !== null && step >= wanted && this.#lastStep < wanted) return true;
    return this.options.clock() - this.#lastAt >= this.options.everyMs;
  }

  /** SHA-256 of the newest one's manifest; null: there is none. */
  get newest(): string | null {
    return this.#previousSha256;
  }

  /** Of this step, newest first. */
  of(step: number): readonly Ref[] {
    return this.#known.filter((ref) => ref.step === step).reverse();
  }

  /**
   * Publishes: data, then the manifest, then the message. Writes nothing when this step is saved already. best: its validation loss is the lowest so far,
   * so it is kept whatever follows.
   */
  async write(state: CheckpointState, metrics: CheckpointMetrics, best = false): Promise<void> {
    if (state.step <= this.#lastStep) {
      if (best) this.#best = this.of(state.step)[0]?.manifest_key ?? this.#best;
      return;
    }
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
      threads: this.options.threads,
      previous_sha256: this.#previousSha256,
      cursor: { ...state.cursor },
      metrics,
      files,
    };
    const written = await upload(store, folder, manifestName, encodeManifest(manifest));
    this.#previousSha256 = written.sha256;
    this.#lastStep = state.step;
    this.#lastAt = this.options.clock();
    this.#known.push({ manifest_key: written.key, manifest_sha256: written.sha256, step: state.step });
    if (best) this.#comingBest = written.key;
    const bytes = files.reduce((sum, file) => sum + file.bytes, written.bytes);
    await send({ type: 'checkpoint', step: state.step, manifest_key: written.key, manifest_sha256: written.sha256, metrics, bytes });
  }

  /**
   * The tables hold `manifestKey` now. Older ones beyond `keep` are deleted, manifest first, so that a half-deleted checkpoint does not exist. Only here: an attempt
   * that has lost its job never gets this far, so it deletes nothing of its successor's.
   */
  async recorded(manifestKey: string): Promise<void> {
    this.#recorded.push(manifestKey);
    if (manifestKey === this.#comingBest) this.#best = manifestKey;
    for (;;) {
      // The best one comes on top of the newest.
      const others = this.#recorded.filter((key) => key !== this.#best);
      const [old] = others;
      if (old === undefined || others.length <= this.options.keep) break;
      this.#recorded.splice(this.#recorded.indexOf(old), 1);
      this.#known.splice(
        this.#known.findIndex(({ manifest_key }) => manifest_key === old),
        1,
      );
      const folder = old.slice(0, -manifestName.length - 1);
      for (const name of [manifestName, rowsFileName, optimizerName]) await this.options.store.delete(`${folder}/${name}`);
      // Unheard (the trainer dies here) the row stays for the next attempt, which deletes again.
      await this.options.send({ type: 'checkpoint_removed', manifest_key: old });
    }
  }
}
