import type { CheckpointState, RowDelta } from '@rowsmith/contracts';
import { EngineError } from '../errors.js';
import type { CausalLM, RowModule, RowPlan } from '../models/causal-lm.js';
import type { StockOps } from '../ops/stock-ops.js';
import type { Handle } from '../runtime/handle.js';
import { type AdamState, adamwStep } from './adamw.js';
import { clipScale, globalNorm } from './clip.js';

/** The modules of one input width, their rows stacked in the plan's order into [R, width] buffers. */
interface Stack {
  readonly width: number;
  readonly rows: number;
  readonly modules: readonly { readonly module: RowModule; readonly start: number }[];
  /** Rows of the untouched model, [R, width]. */
  readonly base: Handle;
  state: AdamState;
  /** Sum over the micro-steps of the window, [R, width]; undefined: none yet. */
  gradient: Handle | undefined;
}

export interface UpdateOptions {
  /** Of this update, counted from 1. */
  readonly step: number;
  readonly learningRate: number;
  readonly weightDecay: number;
  readonly maxGradNorm: number;
  /** What `gradientNorm` returned. */
  readonly gradientNorm: number;
}

export type Buffers = CheckpointState['buffers'];

/**
 * Masters of the selected rows: D (zero at first), Adam's m and v, and the base rows; the model holds f32(base + D) in those rows.
 * Owns its buffers until `dispose`, which gives the model its base rows back.
 */
export class TrainableRows {
  readonly #stacks: Stack[];

  /** `saved`: of a checkpoint; throws EngineError `checkpoint_mismatch` when it does not fit the plan. */
  constructor(
    private readonly ops: StockOps,
    private readonly model: CausalLM,
    plan: RowPlan,
    saved?: Buffers,
  ) {
    const widths = [...new Set(plan.modules.map(({ inFeatures }) => inFeatures))].sort((a, b) => a - b);
    const groups = widths.map((width) => plan.modules.filter(({ inFeatures }) => inFeatures === width));
    if (saved) checkBuffers(groups, saved);
    this.#stacks = groups.map((modules) => this.#stack(modules, saved));
    if (saved) this.#writeBack();
  }

  /** Adds a micro-step's gradients to the window's and releases them. */
  accumulate(grads: ReadonlyMap<string, Handle>): void {
    const { ops } = this;
    const { runtime } = ops;
    for (const stack of this.#stacks) {
      const sum = runtime.scope((keep) => {
        const parts = stack.modules.map(({ module }) => grads.get(module.name) as Handle);
        const stacked = ops.concatRows(parts); // [R, width]
        return keep(stack.gradient ? ops.add(stack.gradient, stacked) : stacked);
      });
      this.#dropGradient(stack);
      stack.gradient = runtime.own(sum);
    }
    runtime.release(...grads.values());
  }

  /** Global L2 norm of the window's gradient, before clipping. Waits for the device. */
  gradientNorm(): number {
    return globalNorm(
      this.ops,
      this.#stacks.flatMap(({ gradient }) => gradient ?? []),
    );
  }

  /** One AdamW step with the window's gradient, which is dropped; the model's rows follow. */
  update({ step, learningRate, weightDecay, maxGradNorm, gradientNorm }: UpdateOptions): void {
    const { ops } = this;
    const { runtime } = ops;
    const options = { t: step, learningRate, weightDecay, gradientScale: clipScale(gradientNorm, maxGradNorm) };
    for (const stack of this.#stacks) {
      const { gradient, state } = stack;
      if (!gradient) throw new RangeError('update without a gradient');
      stack.state = runtime.scope(() => this.#owned(adamwStep({ ops, runtime }, state, gradient, options)));
      runtime.release(state.delta, state.m, state.v);
      this.#dropGradient(stack);
    }
    this.#writeBack();
  }

  /** Copies on the host. Waits for the device. */
  buffers(): Buffers {
    const copies = this.#stacks.flatMap(({ width, rows, state }) =>
      bufferRoles.map((role) => [bufferName(role, width), { shape: [rows, width], data: this.#read(state[stateKey[role]]) }] as const),
    );
    return new Map(copies);
  }

  /** Copies on the host, in the order of the model's linears. Waits for the device. */
  delta(): RowDelta {
    const deltas = this.#stacks.flatMap(({ width, modules, state }) => {
      const stacked = this.#read(state.delta);
      return modules.map(({ module, start }) => {
        const { indices, outFeatures, inFeatures } = module;
        const delta = stacked.slice(start * width, (start + indices.length) * width);
        return [module.name, { indices: indices.slice(), delta, outFeatures, inFeatures }] as const;
      });
    });
    const byName = new Map(deltas);
    return new Map(this.model.linears.flatMap(({ name }) => (byName.has(name) ? [[name, byName.get(name) as ModuleDelta] as const] : [])));
  }

  /** The model's rows become the base again, bit for bit; frees everything. */
  dispose(): void {
    for (const stack of this.#stacks.splice(0)) {
      this.#write(stack, stack.base);
      this.#dropGradient(stack);
      this.ops.runtime.release(stack.base, stack.state.delta, stack.state.m, stack.state.v);
    }
  }

  #stack(group: readonly RowModule[], saved: Buffers | undefined): Stack {
    const { runtime } = this.ops;
    const width = group[0]?.inFeatures ?? 0;
    let rows = 0;
    const modules = group.map((module) => {
      const start = rows;
      rows += module.indices.length;
      return { module, start };
    });
    const base = new Float32Array(rows * width);
    for (const { module, start } of modules) base.set(this.model.readRows(module, module.indices), start * width);
    const upload = (data: Float32Array) => runtime.own(runtime.upload(data, [rows, width], 'f32'));
    const initial = (role: BufferRole) => upload(saved?.get(bufferName(role, width))?.data.slice() ?? new Float32Array(rows * width));
    const state = { delta: initial('delta'), m: initial('adam_m'), v: initial('adam_v') };
    return { width, rows, modules, base: upload(base), state, gradient: undefined };
  }

  #writeBack(): void {
    for (const stack of this.#stacks)
      this.ops.runtime.scope(() => {
        this.#write(stack, this.ops.add(stack.base, stack.state.delta)); // [R, width]
      });
  }

  #write({ modules }: Stack, stacked: Handle): void {
    for (const { module, start } of modules)
      this.ops.runtime.scope(() => {
        this.model.writeRows(module, module.indices, this.ops.sliceRows(stacked, start, module.indices.length));
      });
  }

  #dropGradient(stack: Stack): void {
    if (stack.gradient) this.ops.runtime.release(stack.gradient);
    stack.gradient = undefined;
  }

  #owned(state: AdamState): AdamState {
    const { runtime } = this.ops;
    return { delta: runtime.own(state.delta), m: runtime.own(state.m), v: runtime.own(state.v) };
  }

  #read(handle: Handle): Float32Array {
    return this.ops.runtime.readF32(handle).slice();
  }
}

type ModuleDelta = RowDelta extends ReadonlyMap<string, infer M> ? M : never;

const bufferRoles = ['delta', 'adam_m', 'adam_v'] as const;
type BufferRole = (typeof bufferRoles)[number];
const stateKey = { delta: 'delta', adam_m: 'm', adam_v: 'v' } as const satisfies Record<BufferRole, keyof AdamState>;
const bufferName = (role: BufferRole, width: number): string => `${role}.${width}`;

function checkBuffers(groups: readonly (readonly RowModule[])[], saved: Buffers): void {
  const mismatch = (message: string) => new EngineError('infra', 'checkpoint_mismatch', message);
  for (const group of groups) {
    const width = group[0]?.inFeatures ?? 0;
    const rows = group.reduce((sum, { indices }) => sum + indices.length, 0);
    for (const role of bufferRoles) {
      const name = bufferName(role, width);
      const buffer = saved.get(name);
      if (!buffer) throw mismatch(`the checkpoint has no buffer ${name}`);
      if (buffer.shape.join() !== [rows, width].join() || buffer.data.length !== rows * width)
        throw mismatch(`buffer ${name} is [${buffer.shape}], the plan needs [${rows},${width}]`);
      if (!buffer.data.every(Number.isFinite)) throw mismatch(`buffer ${name} holds a value that is not finite`);
    }
  }
  const expected = groups.length * bufferRoles.length;
  if (saved.size !== expected) throw mismatch(`the checkpoint has ${saved.size} buffers, the plan needs ${expected}`);
}
