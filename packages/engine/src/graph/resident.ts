import { dtypeCode } from '../runtime/binding.js';
import type { Handle } from '../runtime/handle.js';
import type { Runtime } from '../runtime/runtime.js';
import { shapeProto, typeValue } from './attributes.js';
import type { AttrValue, NodeDef } from './saved-model.js';

/** Smaller ones are fed at every run. */
const least = 4096;

export const mayReside = ({ dtype, shape }: Handle): boolean =>
  dtype === 'f32' && shape.length > 0 && shape.reduce((product, size) => product * size, 1) >= least;

const f32: AttrValue = typeValue('f32');
const i32: AttrValue = typeValue('i32');
const zero: AttrValue = { tensor: { dtype: dtypeCode.i32, tensorShape: {}, tensorContent: new Uint8Array(4) } };
/** Can be fetched when `operation`, which has no output, is done. */
const done = (name: string, operation: string): NodeDef => ({
  name,
  op: 'Const',
  input: [`^${operation}`],
  attr: { dtype: i32, value: zero },
});
const placeholder = (name: string, dtype: AttrValue, shape: readonly number[]): NodeDef => ({
  ...{ name, op: 'Placeholder', input: [] },
  attr: { dtype, shape: { shape: shapeProto(shape) } },
});

/** The node that was fed a tensor reads a variable of the session instead, which two more signatures assign and update by rows. */
function variable(name: string, shape: readonly number[]): NodeDef[] {
  const at = (part: string) => `${part}_${name}`;
  const shared = new TextEncoder().encode(name);
  return [
    {
      name: at('var'),
      op: 'VarHandleOp',
      input: [],
      attr: { dtype: f32, shape: { shape: shapeProto(shape) }, shared_name: { s: shared } },
    },
    { name, op: 'ReadVariableOp', input: [at('var')], attr: { dtype: f32 } },
    placeholder(at('whole'), f32, shape),
    // Or on a processor the variable would share the engine's memory, and be written twice.
    { name: at('own'), op: 'DeepCopy', input: [at('whole')], attr: { T: f32 } },
    { name: at('assign'), op: 'AssignVariableOp', input: [at('var'), at('own')], attr: { dtype: f32 } },
    done(at('assigned'), at('assign')),
    placeholder(at('ids'), i32, [-1]),
    placeholder(at('rows'), f32, [-1, ...shape.slice(1)]),
    {
      ...{ name: at('update'), op: 'ResourceScatterUpdate', input: [at('var'), at('ids'), at('rows')] },
      attr: { dtype: f32, Tindices: i32 },
    },
    done(at('updated'), at('update')),
  ];
}

/** `weights`: handle by the name of the node that stands for it. */
export function withVariables(nodes: readonly NodeDef[], weights: ReadonlyMap<string, Handle>): NodeDef[] {
  return nodes.flatMap((node) => {
    const handle = weights.get(node.name);
    return handle ? variable(node.name, handle.shape) : [node];
  });
}

/**
 * Weights that a session holds in variables, on its own device, so that a run moves none of them: assigned once, then kept equal to the engine's by the
 * rows that were written since the last run.
 */
export class ResidentWeights {
  readonly #unwatch: () => void;
  /** Rows that changed; 'all': more than rows. */
  readonly #changed = new Map<string, Set<number> | 'all'>();

  constructor(
    private readonly runtime: Runtime,
    private readonly session: number,
    private readonly weights: ReadonlyMap<string, Handle>,
  ) {
    const names = new Map(Array.from(weights, ([name, { id }]) => [id, name]));
    for (const name of weights.keys()) this.#changed.set(name, 'all');
    this.#unwatch = runtime.watchWrites([...weights.values()], ({ id }, rows) => this.#note(names.get(id) as string, rows));
  }

  /** Before each run. */
  bringUpToDate(): void {
    const { runtime, session } = this;
    for (const [name, changed] of this.#changed)
      runtime.scope(() => {
        const weight = this.weights.get(name) as Handle;
        if (changed === 'all') {
          runtime.savedModels.run(session, [weight], `whole_${name}:0`, `assigned_${name}:0`);
          return;
        }
        const ids = runtime.upload(Int32Array.from([...changed].sort((a, b) => a - b)), [changed.size], 'i32');
        const rows = runtime.execute('GatherV2', [weight, ids, runtime.axis(0)]);
        runtime.savedModels.run(session, [ids, rows], `ids_${name}:0,rows_${name}:0`, `updated_${name}:0`);
      });
    this.#changed.clear();
  }

  dispose(): void {
    this.#unwatch();
  }

  #note(name: string, rows: Int32Array | undefined): void {
    const known = this.#changed.get(name);
    if (known === 'all' || !rows) this.#changed.set(name, 'all');
    else this.#changed.set(name, new Set([...(known ?? []), ...rows]));
  }
}
