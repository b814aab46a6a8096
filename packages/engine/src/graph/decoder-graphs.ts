import type { RowPlan } from '../models/causal-lm.js';
import { type DecoderInputs, type DecoderTensors, uploadInputs } from '../models/decoder-inputs.js';
import type { DecoderPass, Entropy } from '../models/decoder-pass.js';
import type { RopeTables } from '../models/rope-tables.js';
import type { UpdateDropout } from '../models/update-path.js';
import type { Handle } from '../runtime/handle.js';
import type { Runtime } from '../runtime/runtime.js';
import { bucketed } from './bucket.js';
import { dropoutInputs } from './dropout-inputs.js';
import { entropyOf, Graphs, gradientsOf, namedGradients } from './graphs.js';
import type { HoldWeights, Named } from './step-graph.js';

/** Losses and gradients of one decoder by recorded graphs instead of operator by operator. Results are in the caller's scope, sized by the bucket. */
export class DecoderGraphs {
  readonly graphs: Graphs;

  constructor(
    private readonly runtime: Runtime,
    private readonly pass: DecoderPass,
    private readonly rope: RopeTables,
    private readonly maxLength: number,
    hold?: HoldWeights,
  ) {
    this.graphs = new Graphs(runtime, hold);
  }

  loss(inputs: DecoderInputs): Entropy {
    const results = this.#run('loss', inputs, (step, tensors) => new Map(Object.entries({ ...this.pass.loss(step, tensors) })));
    return entropyOf(results);
  }

  /** The gradients' keys are those of `partsOf`. */
  gradients(inputs: DecoderInputs, plan: RowPlan, dropout?: UpdateDropout): Entropy & { readonly grads: ReadonlyMap<string, Handle> } {
    const masks = dropout && dropoutInputs(this.runtime, plan, dropout);
    const results = this.#run(
      `gradients ${this.graphs.idOf(plan)} ${dropout?.rate ?? 0}`,
      inputs,
      (step, tensors) => namedGradients((take) => this.pass.gradients(step, tensors, plan, take, masks?.within)),
      masks?.inputs,
    );
    return gradientsOf(results);
  }

  dispose(): void {
    this.graphs.dispose();
  }

  #run(kind: string, inputs: DecoderInputs, body: (step: DecoderInputs, tensors: DecoderTensors) => Named, more: Named = new Map()): Named {
    const step = bucketed(inputs, this.maxLength, (length, other) => this.rope.rotateAlike(length, other));
    const tensors = uploadInputs(this.runtime, step);
    const shape = [step.size, step.length, step.rows.length, step.packed ? 'packed' : 'padded', this.rope.kindOf(step.longest)];
    return this.graphs.run(`${kind} ${shape.join(' ')}`, new Map([...Object.entries(tensors), ...more]), () => body(step, tensors));
  }
}
