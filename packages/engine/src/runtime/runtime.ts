import { EngineError } from '../errors.js';
import { ArenaStack } from './arena.js';
import { type Attribute, dtypeCode, dtypeOfCode, type TensorFlowBinding } from './binding.js';
import type { DType, Handle } from './handle.js';

const noAttributes: readonly Attribute[] = [];

/** TensorFlow's operators on handles, with scopes that free them. Calls block the event loop. */
export class Runtime {
  readonly #arenas: ArenaStack;
  readonly #constants = new Map<string, Handle>();

  constructor(private readonly binding: TensorFlowBinding) {
    this.#arenas = new ArenaStack((id) => binding.deleteTensor(id));
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
    return infos.map(({ id, shape, dtype }) => {
      this.#arenas.adopt(id);
      return { id, shape, dtype: dtypeOfCode(dtype) };
    });
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
    return { id, shape, dtype };
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
    const made = this.own(make());
    this.#constants.set(key, made);
    return made;
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
