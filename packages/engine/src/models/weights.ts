import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import type { DecoderConfig, EncoderConfig, PackedModelIndex } from '@rowsmith/contracts';
import { EngineError } from '../errors.js';
import type { StockOps } from '../ops/stock-ops.js';
import type { Weight } from '../ops/weight.js';
import type { Quantization } from '../quant/formats.js';
import { QuantisedBase } from '../quant/quantised-base.js';
import { attribute } from '../runtime/binding.js';
import type { Handle } from '../runtime/handle.js';
import type { Runtime } from '../runtime/runtime.js';
import { decoderConfigOf } from './check-config.js';
import { linearsOf, packedShapes } from './layout.js';

/** A packed model on disk. The file must not change while the process lives: frozen matrices are mapped, not read. */
export interface PackedModelFile {
  readonly weightsPath: string;
  readonly index: PackedModelIndex;
}

/** Weights in memory by packed tensor name, [out, in] row-major; the arrays stay the caller's. */
export interface ModelInMemory {
  readonly config: DecoderConfig;
  readonly tensors: ReadonlyMap<string, Float32Array>;
}

export type ModelSource = PackedModelFile | ModelInMemory;

/** The same for an encoder. */
export interface EncoderInMemory {
  readonly config: EncoderConfig;
  readonly tensors: ReadonlyMap<string, Float32Array>;
}

export interface ModelTensors {
  /** A tensor that is held as it is. Owned by the weights; throws for an unknown name. */
  get(name: string): Handle;
  /** A matrix for `Ops.linear` and its kin; `get(name)` unless the base is quantised. */
  matrix(name: string): Weight;
  /** The linears' matrices where they are quantised: `get` does not know these. */
  readonly quantised?: QuantisedBase;
  /** Whether the tensor's rows may be overwritten. */
  isWritable(name: string): boolean;
  dispose(): void;
}

export interface ModelWeights extends ModelTensors {
  readonly config: DecoderConfig;
}

/** What is loaded, and how it is held. */
export interface TensorPlan {
  readonly shapes: ReadonlyMap<string, readonly number[]>;
  /** Packed matrices of the linears: what a quantised base holds quantised. */
  readonly matrices: readonly string[];
  /** Tensors whose rows will be written; on disk models the others are mapped read-only. */
  readonly rowTensors: readonly string[];
  /** Of the linears' matrices, any rows of which may then be written. */
  readonly quantization?: Quantization | undefined;
  /** Tensors that the source does not have: they begin as zeros, and may be written. */
  readonly fresh?: ReadonlySet<string>;
}

/** rowTensors and quantization: see TensorPlan. Throws EngineError `invalid_model` for an encoder. */
export function loadWeights(ops: StockOps, source: ModelSource, rowTensors: readonly string[], quantization?: Quantization): ModelWeights {
  const config = decoderConfigOf('index' in source ? source.index.config : source.config);
  const matrices = linearsOf(config).map(({ tensor }) => tensor);
  return { config, ...loadTensors(ops, source, { shapes: packedShapes(config), matrices, rowTensors, quantization }) };
}

export function loadTensors(
  ops: StockOps,
  source: ModelSource | EncoderInMemory,
  { shapes, matrices: names, rowTensors, quantization, fresh = new Set() }: TensorPlan,
): ModelTensors {
  const { runtime } = ops;
  const writable = new Set(rowTensors);
  for (const name of writable) if (!shapes.has(name)) throw new EngineError('user', 'invalid_rows', `the model has no tensor ${name}`);
  const stored = 'index' in source ? fileLoader(ops, source) : memoryLoader(runtime, source);
  const load: Loader = (name, shape, write) => (fresh.has(name) ? ops.zeros(shape) : stored(name, shape, write));
  const linears = new Set(quantization ? names : []);
  const matrices = new Map([...shapes].filter(([name]) => linears.has(name)));
  // Writable: a mapping of its own, which is gone when the matrix has been read.
  const original = (name: string) => load(name, matrices.get(name) ?? [], true);
  const quantised = quantization && new QuantisedBase(ops, quantization, matrices, original);
  const handles = new Map<string, Handle>();
  try {
    runtime.scope((keep) => {
      for (const [name, shape] of shapes) if (!linears.has(name)) handles.set(name, keep(load(name, shape, writable.has(name))));
    });
  } catch (error) {
    quantised?.dispose();
    throw error;
  }
  const get = (name: string): Handle => {
    const handle = handles.get(name);
    if (!handle) throw new EngineError('precheck', 'invalid_model', `the model has no tensor ${name}`);
    return handle;
  };
  return {
    get,
    // A classifier's heads are not among the quantised ones.
    matrix: (name) => (quantised?.has(name) ? quantised.matrix(name) : get(name)),
    ...(quantised && { quantised }),
    isWritable: (name) => writable.has(name) || linears.has(name) || fresh.has(name),
    dispose() {
      quantised?.dispose();
      runtime.release(...handles.values());
      handles.clear();
    },
  };
}

type Loader = (name: string, shape: readonly number[], writable: boolean) => Handle;

function memoryLoader(runtime: Runtime, { tensors }: Pick<ModelInMemory, 'tensors'>): Loader {
  return (name, shape) => {
    const data = tensors.get(name);
    if (data?.length !== elements(shape))
      throw new EngineError(
        'precheck',
        'invalid_model',
        `tensor ${name}: expected ${elements(shape)} numbers, got ${data?.length ?? 'none'}`,
      );
    // Rows are written in place: without a copy they would be written into the caller's array.
    return runtime.upload(data, shape, 'f32', true);
  };
}

function fileLoader(ops: StockOps, { weightsPath, index }: PackedModelFile): Loader {
  const { runtime } = ops;
  const file = openSync(weightsPath, 'r');
  const size = fstatSync(file).size;
  closeSync(file);
  if (size !== index.weights_bytes)
    throw new EngineError(
      'precheck',
      'invalid_model',
      `${weightsPath} has ${size} bytes, its index says ${index.weights_bytes}: import the model again`,
    );
  let mapped: Handle | undefined;
  const whole = (): Handle => {
    mapped ??= runtime.execute(
      'ImmutableConst',
      [],
      [attribute.dtype('dtype', 'f32'), attribute.shape('shape', [size / 4]), attribute.string('memory_region_name', weightsPath)],
    );
    return mapped;
  };
  return (name, shape, writable) => {
    const entry = index.tensors[name];
    if (!entry) throw new EngineError('precheck', 'invalid_model', `the index of ${index.id} has no tensor ${name}`);
    const bytes = elements(shape) * 4;
    if (entry.shape.join() !== shape.join())
      throw new EngineError('precheck', 'invalid_model', `tensor ${name}: [${entry.shape}], expected [${shape}]`);
    if (entry.offset % 64 !== 0 || entry.offset + bytes > size)
      throw new EngineError('precheck', 'invalid_model', `tensor ${name}: offset ${entry.offset} is unaligned or ends beyond the file`);
    if (writable)
      return (
        ops.mapPrivately(weightsPath, entry.offset, shape) ?? runtime.upload(readFloats(weightsPath, entry.offset, bytes), shape, 'f32')
      );
    // Slices on dimension 0 and reshapes share the mapping: no copy.
    const begin = runtime.upload(int64(entry.offset / 4), [1], 'i64');
    const count = runtime.upload(int64(bytes / 4), [1], 'i64');
    const flat = runtime.execute('Slice', [whole(), begin, count]);
    return runtime.execute('Reshape', [flat, runtime.upload(Int32Array.from(shape), [shape.length], 'i32')]);
  };
}

function readFloats(path: string, offset: number, bytes: number): Float32Array {
  const data = new Float32Array(bytes / 4);
  const file = openSync(path, 'r');
  try {
    for (let done = 0; done < bytes; ) {
      const count = readSync(file, data, done, Math.min(bytes - done, 2 ** 28), offset + done);
      if (count === 0) throw new EngineError('precheck', 'invalid_model', `${path} ended early: import the model again`);
      done += count;
    }
  } finally {
    closeSync(file);
  }
  return data;
}

const elements = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);
const int64 = (value: number): Int32Array => Int32Array.of(value >>> 0, Math.floor(value / 2 ** 32));
