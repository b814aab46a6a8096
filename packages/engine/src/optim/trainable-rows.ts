import type { CheckpointState, ModuleRows, RowDelta } from '@rowsmith/contracts';
import { EngineError } from '../errors.js';
import type { RowPlan, TrainableModel } from '../models/causal-lm.js';
import { partsOf, readPart, type TrainedPart, writePart } from '../models/parts.js';
import type { StockOps } from '../ops/stock-ops.js';
import type { Handle } from '../runtime/handle.js';
import { type AdamState, adamwStep } from './adamw.js';
import { clipScale, globalNorm } from './clip.js';
import { withCrossings } from './crossings.js';

/** The trained parts of one width, stacked in the plan's order into [R, width] buffers. */
interface PlacedPart extends TrainedPart {
  readonly start: number;
}

interface Stack {
  readonly width: number;
  readonly rows: number;
  readonly parts: readonly PlacedPart[];
  /** Rows and transposed columns of the untouched model, [R, width]. */
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
 * Masters of the selected rows and columns: D and E (zero at first), Adam's m and v, and the base values; the model holds f32(base + D) in
 * the rows, f32(base + E) in the columns, f32(base + f32(D + E)) where they cross. Owns its buffers until `dispose`, which gives the model its base back.
 */
export class TrainableRows {
  readonly #stacks: Stack[];

  /** `saved`: of a checkpoint; throws EngineError `checkpoint_mismatch` when it does not fit the plan. */
  constructor(
    private readonly ops: StockOps,
    private readonly model: TrainableModel,
    plan: RowPlan,
    saved?: Buffers,
  ) {
    const parts = plan.modules.flatMap(partsOf);
    const widths = [...new Set(parts.map(({ width }) => width))].sort((a, b) => a - b);
    const groups = widths.map((width) => parts.filter((part) => part.width === width));
    if (saved) checkBuffers(groups, saved);
    this.#stacks = groups.map((group) => this.#stack(group, saved));
    // A quantised base holds selected rows exactly from the first step on.
    if (saved || model.quantization) this.#writeBack();
  }

  /** Adds a micro-step's gradients to the window's and releases them. */
  accumulate(grads: ReadonlyMap<string, Handle>): void {
    const { ops } = this;
    const { runtime } = ops;
    for (const stack of this.#stacks) {
      const sum = runtime.scope((keep) => {
        const parts = stack.parts.map(({ key }) => grads.get(key) as Handle);
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
    runtime.scope(() => {
      const merged = new Map<Stack, Handle>();
      for (const stack of this.#stacks) {
        const { gradient, state, base } = stack;
        if (!gradient) throw new RangeError('update without a gradient');
        const next = adamwStep(ops, state, gradient, base, options);
        if (next.merged) merged.set(stack, next.merged);
        else {
          stack.state = this.#owned(next);
          runtime.release(state.delta, state.m, state.v);
        }
        this.#dropGradient(stack);
      }
      this.#writeBack(merged);
    });
  }

  /** Present D or E^T of a part of the plan, in the caller's scope. */
  updateOf({ key, width, ids }: TrainedPart): Handle {
    const stack = this.#stacks.find((candidate) => candidate.width === width);
    const part = stack?.parts.find((candidate) => candidate.key === key);
    if (!stack || !part) throw new RangeError(`${key} is not trained`);
    return this.ops.sliceRows(stack.state.delta, part.start, ids.length);
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
    const byName = new Map<string, ModuleRows>();
    for (const { width, parts, state } of this.#stacks) {
      const stacked = this.#read(state.delta);
      for (const { module, axis, ids, start } of parts) {
        const { name, outFeatures, inFeatures } = module;
        const update = stacked.slice(start * width, (start + ids.length) * width);
        const known = byName.get(name) ?? { indices: new Int32Array(0), delta: new Float32Array(0), outFeatures, inFeatures };
        const updates = {
          rows: { indices: ids.slice(), delta: update },
          columns: { columns: ids.slice(), columnDelta: update },
          biases: { biasDelta: update },
        };
        byName.set(name, { ...known, ...updates[axis] });
      }
    }
    return new Map(this.model.linears.flatMap(({ name }) => (byName.has(name) ? [[name, byName.get(name) as ModuleRows] as const] : [])));
  }

  /** The model's rows become the base again, bit for bit; frees everything. */
  dispose(): void {
    for (const axis of axes)
      for (const stack of this.#stacks) for (const part of stack.parts) if (part.axis === axis) this.#write(part, stack.base);
    this.model.forgetWritten();
    for (const stack of this.#stacks.splice(0)) {
      this.#dropGradient(stack);
      this.ops.runtime.release(stack.base, stack.state.delta, stack.state.m, stack.state.v);
    }
  }

  #stack(group: readonly TrainedPart[], saved: Buffers | undefined): Stack {
    const { runtime } = this.ops;
    const width = group[0]?.width ?? 0;
    let rows = 0;
    const parts = group.map((part) => {
      const start = rows;
      rows += part.ids.length;
      return { ...part, start };
    });
    const base = new Float32Array(rows * width);
    for (const part of parts) base.set(readPart(this.model, part), part.start * width);
    const upload = (data: Float32Array) => runtime.own(runtime.upload(data, [rows, width], 'f32'));
    const initial = (role: BufferRole) => upload(saved?.get(bufferName(role, width))?.data.slice() ?? new Float32Array(rows * width));
    const state = { delta: initial('delta'), m: initial('adam_m'), v: initial('adam_v') };
    return { width, rows, parts, base: upload(base), state, gradient: undefined };
  }

  /** All rows and biases, then all columns: these overwrite the crossings with the sum of both updates. merged: base + D where it is known. */
  #writeBack(merged: ReadonlyMap<Stack, Handle> = new Map()): void {
    const { ops } = this;
    const placed = this.#stacks.flatMap((stack) => stack.parts.map((part) => ({ stack, part })));
    for (const stack of this.#stacks)
      ops.runtime.scope(() => {
        const rows = stack.parts.filter(({ axis }) => axis !== 'columns');
        const sum = merged.get(stack) ?? (rows.length > 0 ? ops.add(stack.base, stack.state.delta) : stack.base); // [R, width]
        for (const part of rows) this.#write(part, sum);
      });
    for (const { stack, part } of placed)
      if (part.axis === 'columns')
        ops.runtime.scope(() => {
          const rows = placed.find((other) => other.part.axis === 'rows' && other.part.module === part.module);
          const slice = (of: Handle, { start, ids }: PlacedPart) => ops.sliceRows(of, start, ids.length);
          const e = slice(stack.state.delta, part);
          const update = rows ? withCrossings(ops, part.module, slice(rows.stack.state.delta, rows.part), e) : e;
          this.model.writeColumns(part.module, part.ids, ops.add(slice(stack.base, part), update));
        });
  }

  /** stacked: [R, width], of which the part's rows are written. */
  #write(part: PlacedPart, stacked: Handle): void {
    this.ops.runtime.scope(() => writePart(this.model, part, this.ops.sliceRows(stacked, part.start, part.ids.length)));
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

const axes = ['rows', 'biases', 'columns'] as const;
const bufferRoles = ['delta', 'adam_m', 'adam_v'] as const;
type BufferRole = (typeof bufferRoles)[number];
const stateKey = { delta: 'delta', adam_m: 'm', adam_v: 'v' } as const satisfies Record<BufferRole, keyof AdamState>;
const bufferName = (role: BufferRole, width: number): string => `${role}.${width}`;

/** Buffers of a start from known updates: `delta.<width>` as given, the optimiser as at step 0. */
export function withFreshMoments(deltas: Buffers): Buffers {
  const moments = Array.from(deltas, ([name, { shape, data }]) => {
    const width = name.slice(name.indexOf('.') + 1);
    return (['adam_m', 'adam_v'] as const).map((role) => [`${role}.${width}`, { shape, data: new Float32Array(data.length) }] as const);
  });
  return new Map([...deltas, ...moments.flat()]);
}

function checkBuffers(groups: readonly (readonly TrainedPart[])[], saved: Buffers): void {
  const mismatch = (message: string) => new EngineError('infra', 'checkpoint_mismatch', message);
  for (const group of groups) {
    const width = group[0]?.width ?? 0;
    const rows = group.reduce((sum, { ids }) => sum + ids.length, 0);
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
