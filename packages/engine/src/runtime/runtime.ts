import { EngineError } from '../errors.js';
import { ArenaStack } from './arena.js';
import { type Attribute, dtypeCode, dtypeOfCode, type TensorFlowBinding, type TensorInfo } from './binding.js';
import type { DType, Handle } from './handle.js';

const noAttributes: readonly Attribute[] = [];

/** Sees what the runtime does while `observed` runs. */
export interface Observer {
  operator(op: string, inputs: readonly Handle[], outputs: readonly Handle[], attributes: readonly Attribute[]): void;
  uploaded(handle: Handle, data: Float32Array | Int32Array | Uint8Array): void;
  /** `body` was asked to compute nothing before `handle` is there. */
  after<T>(handle: Handle, body: () => T): T;
}

/** TensorFlow's operators on handles, with scopes that free them. Calls block the event loop. */
export class Runtime {
  readonly #arenas: ArenaStack;
  readonly #constants = new Map<string, Handle>();
  readonly #constantIds = new Set<number>();
  readonly #watched = new Map<number, Set<() => void>>();
  readonly #writeListeners = new Set<(handle: Handle, rows: Int32Array | undefined) => void>();
  #observer: Observer | undefined;

  constructor(private readonly binding: TensorFlowBinding) {
    this.#arenas = new ArenaStack((id) => {
      binding.deleteTensor(id);
      if (this.#watched.size > 0) for (const freed of this.#watched.get(id) ?? []) freed();
    });
  }

  get tensorflowVersion(): string {
    return this.binding.TF_Version;
  }

  /** Live tensors of the process: must not grow from step to step. */
  get handleCount(): number {
    return this.binding.getNumOfTensors();
  }

  /** An operator with several outputs. Its name and attributes: TensorFlow's op definitions. */
  executeMany(op: string, inputs: readonly Handle[], outputs: number, attributes: readonly Attribute[] = noAttributes): Handle[] {
    const ids: number[] = new Array(inputs.length);
    for (let i = 0; i < inputs.length; i++) ids[i] = (inputs[i] as Handle).id;
    let infos: ReturnType<TensorFlowBinding['executeOp']>;
    try {
      infos = this.binding.executeOp(op, attributes, ids, outputs);
    } catch (cause) {
      const shapes = inputs.map(({ dtype, shape }) => `${dtype}[${shape.join()}]`).join(', ');
      throw new EngineError('infra', 'tensorflow', `${op}(${shapes}): ${cause instanceof Error ? cause.message : String(cause)}`, null, {
        cause,
      });
    }
    const results = this.#adopted(infos);
    this.#observer?.operator(op, inputs, results, attributes);
    return results;
  }

  /** Sessions of SavedModels (packages/engine/src/graph). `inputs` and the names agree in order; names are `node:output`. */
  readonly savedModels = {
    load: (folder: string): number => this.binding.loadSavedModel(folder, 'serve'),
    run: (id: number, inputs: readonly Handle[], inputNames: string, outputNames: string): Handle[] => {
      const ids = inputs.map((handle) => handle.id);
      return this.#adopted(this.binding.runSavedModel(id, ids, inputNames, outputNames));
    },
    delete: (id: number): void => this.binding.deleteSavedModel(id),
    count: (): number => this.binding.getNumOfSavedModels(),
  } as const;

  #adopted(infos: readonly TensorInfo[]): Handle[] {
    return infos.map(({ id, shape, dtype }) => {
      this.#arenas.adopt(id);
      return { id, shape, dtype: dtypeOfCode(dtype) };
    });
  }

  /** Whether operators run on a GPU by default. */
  get device(): 'cpu' | 'cuda' {
    return this.binding.isUsingGpuDevice() ? 'cuda' : 'cpu';
  }

  /** Runs `body` under the eyes of `observer`; undefined: of none. */
  observed<T>(observer: Observer | undefined, body: () => T): T {
    const before = this.#observer;
    this.#observer = observer;
    try {
      return body();
    } finally {
      this.#observer = before;
    }
  }

  /** Asks that nothing of `body` is computed before `handle` is there, so that it holds no memory earlier. Operators that run at once do so anyway. */
  after<T>(handle: Handle, body: () => T): T {
    return this.#observer ? this.#observer.after(handle, body) : body();
  }

  /** Says that a tensor's own memory was written; rows: of dimension 0, undefined: anywhere. */
  written(handle: Handle, rows?: Int32Array): void {
    for (const listener of this.#writeListeners) listener(handle, rows);
  }

  /** Calls `changed` when one of these is said to have been written, until the returned function is called. */
  watchWrites(handles: readonly Handle[], changed: (handle: Handle, rows: Int32Array | undefined) => void): () => void {
    const ids = new Set(handles.map(({ id }) => id));
    const listener = (handle: Handle, rows: Int32Array | undefined) => {
      if (ids.has(handle.id)) changed(handle, rows);
    };
    this.#writeListeners.add(listener);
    return () => this.#writeListeners.delete(listener);
  }

  /** Calls `freed` when one of these is freed, until the returned function is called. */
  watch(handles: readonly Handle[], freed: () => void): () => void {
    for (const { id } of handles) this.#watched.set(id, (this.#watched.get(id) ?? new Set()).add(freed));
    return () => {
      for (const { id } of handles) {
        const watchers = this.#watched.get(id);
        watchers?.delete(freed);
        if (watchers?.size === 0) this.#watched.delete(id);
      }
    };
  }

  execute(op: string, inputs: readonly Handle[], attributes: readonly Attribute[] = noAttributes): Handle {
    return this.executeMany(op, inputs, 1, attributes)[0] as Handle;
  }

  /**
   * The array may become the tensor's own memory: never write to it afterwards. Pass a `copy` for an array that will be written again.
   * f32: Float32Array; i32: Int32Array; i64: Int32Array of low and high halves; bool: Uint8Array.
   */
  upload(data: Float32Array | Int32Array | Uint8Array, shape: readonly number[], dtype: DType, copy = false): Handle {
    const id = this.binding.createTensor(shape, dtypeCode[dtype], copy ? data.slice() : data);
    this.#arenas.adopt(id);
    const handle = { id, shape, dtype };
    this.#observer?.uploaded(handle, data);
    return handle;
  }

  /** Waits for the device. */
  readF32(handle: Handle): Float32Array {
    return this.#read(handle, Float32Array);
  }

  /** Waits for the device. */
  readI32(handle: Handle): Int32Array {
    return this.#read(handle, Int32Array);
  }

  #read<T extends Float32Array | Int32Array>(handle: Handle, type: new (length: number) => T): T {
    const data = this.binding.tensorDataSync(handle.id);
    if (!(data instanceof type)) throw new TypeError(`a ${handle.dtype} tensor cannot be read as ${type.name}`);
    return data;
  }

  /** [values.length] i32, made once per process and kept: for axes and permutations, whose number is bounded; not for sizes of batches. */
  constant(...values: number[]): Handle {
    return this.#constant(`i32 ${values.join()}`, () => this.upload(Int32Array.from(values), [values.length], 'i32'));
  }

  /** [] i32, kept like `constant`. */
  axis(value: number): Handle {
    return this.#constant(`axis ${value}`, () => this.upload(Int32Array.of(value), [], 'i32'));
  }

  /** [] f32, kept like `constant`; for the few literals of formulas. */
  literal(value: number): Handle {
    return this.#constant(`f32 ${value}`, () => this.upload(Float32Array.of(value), [], 'f32'));
  }

  #constant(key: string, make: () => Handle): Handle {
    const known = this.#constants.get(key);
    if (known) return known;
    const made = this.own(this.observed(undefined, make));
    this.#constants.set(key, made);
    this.#constantIds.add(made.id);
    return made;
  }

  /** Whether it came from `constant`, `axis` or `literal`: its value never changes. */
  isConstant({ id }: Handle): boolean {
    return this.#constantIds.has(id);
  }

  /** Takes a handle out of every scope: it lives until `release`. */
  own<H extends Handle>(handle: H): H {
    this.#arenas.disown(handle.id);
    return handle;
  }

  /** Frees a handle before its scope ends. */
  release(...handles: readonly Handle[]): void {
    for (const { id } of handles) this.#arenas.release(id);
  }

  /** Frees what `body` made, except what it passed to `keep`, which goes to the scope around or, outside all scopes, to the caller. */
  scope<T>(body: (keep: <H extends Handle>(handle: H) => H) => T): T {
    return this.#arenas.run(body);
  }
}
