import { EngineError } from '../errors.js';
import { type Attribute, dtypeCode } from '../runtime/binding.js';
import type { Handle } from '../runtime/handle.js';
import type { Observer, Runtime } from '../runtime/runtime.js';
import { attributesOf, shapeProto, typeValue } from './attributes.js';
import type { AttrValue, NodeDef } from './saved-model.js';

interface Node extends NodeDef {
  readonly input: string[];
}

/** Where a handle's value comes from: `node:output`. */
interface Source {
  readonly node: string;
  readonly output: number;
}

/**
 * Writes down what a runtime computes as nodes of a TensorFlow graph, with the sizes that it meets: an operator becomes a node, an upload a constant.
 * A handle from before is a constant of the runtime, a declared input, or an external (a weight, a table), which the graph is fed by its handle.
 */
export class Recorder implements Observer {
  readonly #nodes: Node[] = [];
  readonly #sources = new Map<number, Source>();
  readonly #externals: Handle[] = [];
  /** Of the innermost `after`: the node to wait for, and the first node that does. */
  #gate: { readonly node: string; readonly first: number } | undefined;

  constructor(private readonly runtime: Runtime) {}

  get nodes(): readonly NodeDef[] {
    return this.#nodes;
  }

  /** Handles from before that the graph reads, in the order of their first use. */
  get externals(): readonly Handle[] {
    return this.#externals;
  }

  /** A handle whose value every run gives anew. */
  input(handle: Handle): string {
    return this.#placeholder(handle);
  }

  /** `node:output` of a handle that was met. */
  nameOf(handle: Handle): string {
    const { node, output } = this.#sourceOf(handle);
    return `${node}:${output}`;
  }

  operator(op: string, inputs: readonly Handle[], outputs: readonly Handle[], attributes: readonly Attribute[]): void {
    const sources = inputs.map((handle) => this.#sourceOf(handle));
    const input = sources.map(({ node, output }) => (output === 0 ? node : `${node}:${output}`));
    const gate = this.#gate;
    if (gate && !sources.some(({ node }) => indexOf(node) >= gate.first && this.#nodes[indexOf(node)]?.op !== 'Const'))
      input.push(`^${gate.node}`);
    const node = this.#append(op, input, attributesOf(op, inputs, attributes));
    outputs.forEach((handle, output) => {
      this.#sources.set(handle.id, { node, output });
    });
  }

  uploaded(handle: Handle, data: Float32Array | Int32Array | Uint8Array): void {
    this.#constant(handle, data);
  }

  after<T>(handle: Handle, body: () => T): T {
    const before = this.#gate;
    this.#gate = { node: this.#sourceOf(handle).node, first: this.#nodes.length };
    try {
      return body();
    } finally {
      this.#gate = before;
    }
  }

  #sourceOf(handle: Handle): Source {
    const known = this.#sources.get(handle.id);
    if (known) return known;
    if (this.runtime.isConstant(handle)) {
      if (handle.dtype !== 'f32' && handle.dtype !== 'i32') throw new EngineError('infra', 'tensorflow', `a constant of ${handle.dtype}`);
      this.#constant(handle, handle.dtype === 'f32' ? this.runtime.readF32(handle) : this.runtime.readI32(handle));
    } else {
      this.#placeholder(handle);
      this.#externals.push(handle);
    }
    return this.#sources.get(handle.id) as Source;
  }

  #placeholder(handle: Handle): string {
    const node = this.#append('Placeholder', [], { dtype: typeValue(handle.dtype), shape: { shape: shapeProto(handle.shape) } });
    this.#sources.set(handle.id, { node, output: 0 });
    return `${node}:0`;
  }

  #constant({ id, dtype, shape }: Handle, data: Float32Array | Int32Array | Uint8Array): void {
    const tensorContent = new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice();
    const tensor = { dtype: dtypeCode[dtype], tensorShape: shapeProto(shape), tensorContent };
    const node = this.#append('Const', [], { dtype: typeValue(dtype), value: { tensor } });
    this.#sources.set(id, { node, output: 0 });
  }

  #append(op: string, input: string[], attr: Readonly<Record<string, AttrValue>>): string {
    const name = `n${this.#nodes.length}`;
    this.#nodes.push({ name, op, input, attr });
    return name;
  }
}

const indexOf = (node: string): number => Number(node.slice(1));
