import type { RowPlan } from '../models/causal-lm.js';
import type { Handle } from '../runtime/handle.js';
import type { Runtime } from '../runtime/runtime.js';
import { type HoldWeights, type Named, StepGraph } from './step-graph.js';

/** Sessions that are held at most; the one used longest ago goes. Each resident one holds the weights. */
const maxHeld = { fed: 24, resident: 4 };

/** The graphs of one model: one for each kind of computation and shape bucket, recorded when it is first met. */
export class Graphs {
  readonly #held = new Map<string, StepGraph>();
  readonly #plans = new WeakMap<RowPlan, number>();
  #planCount = 0;
  #loads = 0;

  constructor(
    private readonly runtime: Runtime,
    private readonly hold: HoldWeights = runtime.device === 'cuda' ? 'resident' : 'fed',
  ) {}

  /** A number for each plan, the same as long as it is the same object. */
  idOf(plan: RowPlan): number {
    const known = this.#plans.get(plan) ?? this.#planCount++;
    this.#plans.set(plan, known);
    return known;
  }

  /** Graphs recorded and loaded so far. */
  get loads(): number {
    return this.#loads;
  }

  /** What `body` makes of `inputs`, computed by the graph of `key`: everything in which two calls may differ but the inputs' values. In the caller's scope. */
  run(key: string, inputs: Named, body: () => Named): Named {
    return this.#graphOf(key, inputs, body).run(inputs);
  }

  dispose(): void {
    for (const graph of this.#held.values()) graph.dispose();
    this.#held.clear();
  }

  #graphOf(key: string, inputs: Named, body: () => Named): StepGraph {
    const known = this.#held.get(key);
    if (known) {
      this.#held.delete(key);
      if (!known.stale) {
        this.#held.set(key, known);
        return known;
      }
      known.dispose();
    }
    const made = new StepGraph(this.runtime, inputs, body, this.hold);
    this.#loads++;
    this.#held.set(key, made);
    for (const [oldest, graph] of this.#held) {
      if (this.#held.size <= maxHeld[this.hold]) break;
      this.#held.delete(oldest);
      graph.dispose();
    }
    return made;
  }
}

interface Entropy {
  readonly loss: Handle;
  readonly predicted: Handle;
}

export const entropyOf = (results: Named): Entropy => ({
  loss: results.get('loss') as Handle,
  predicted: results.get('predicted') as Handle,
});

/** Hears a gradient, which is freed when its layer is done unless `keep` is called on it. */
type Take = (key: string, gradient: Handle, keep: (handle: Handle) => Handle) => unknown;

/** What a backward pass makes, by names: losses, predictions, and every gradient by its key. */
export function namedGradients(pass: (take: Take) => Entropy): Named {
  const grads = new Map<string, Handle>();
  const { loss, predicted } = pass((key, gradient, keep) => grads.set(key, keep(gradient)));
  return new Map([['loss', loss], ['predicted', predicted], ...grads]);
}

/** The results of a graph that are neither losses nor predictions are gradients, by the keys of `partsOf`. */
export function gradientsOf(results: Named): Entropy & { readonly grads: ReadonlyMap<string, Handle> } {
  const grads = new Map(results);
  for (const name of ['loss', 'predicted']) grads.delete(name);
  return { ...entropyOf(results), grads };
}
