import type { RowPlan } from '../models/causal-lm.js';
import { type EncoderInputs, type EncoderTensors, padEncoderInputs, uploadEncoderInputs } from '../models/encoder-inputs.js';
import type { ClassEntropy, EncoderPass } from '../models/encoder-pass.js';
import type { UpdateDropout } from '../models/update-path.js';
import type { Handle } from '../runtime/handle.js';
import type { Runtime } from '../runtime/runtime.js';
import { bucketOf } from './bucket.js';
import { dropoutInputs } from './dropout-inputs.js';
import { entropyOf, Graphs, gradientsOf, namedGradients } from './graphs.js';
import type { HoldWeights, Named } from './step-graph.js';

/** Losses and gradients of one classifier by recorded graphs; see DecoderGraphs. */
export class EncoderGraphs {
  readonly graphs: Graphs;

  constructor(
    private readonly runtime: Runtime,
    private readonly pass: EncoderPass,
    private readonly maxLength: number,
    hold?: HoldWeights,
  ) {
    this.graphs = new Graphs(runtime, hold);
  }

  loss(inputs: EncoderInputs): ClassEntropy {
    return entropyOf(this.#run('loss', inputs, (step, tensors) => new Map(Object.entries({ ...this.pass.loss(step, tensors) }))));
  }

  gradients(inputs: EncoderInputs, plan: RowPlan, dropout?: UpdateDropout): ClassEntropy & { readonly grads: ReadonlyMap<string, Handle> } {
    const masks = dropout && dropoutInputs(this.runtime, plan, dropout);
    return gradientsOf(
      this.#run(
        `gradients ${this.graphs.idOf(plan)} ${dropout?.rate ?? 0}`,
        inputs,
        (step, tensors) => namedGradients((take) => this.pass.gradients(step, tensors, plan, take, masks?.within)),
        masks?.inputs,
      ),
    );
  }

  dispose(): void {
    this.graphs.dispose();
  }

  #run(kind: string, inputs: EncoderInputs, body: (step: EncoderInputs, tensors: EncoderTensors) => Named, more: Named = new Map()): Named {
    const step = padEncoderInputs(inputs, Math.min(bucketOf(inputs.length, 4), this.maxLength));
    const tensors = uploadEncoderInputs(this.runtime, step);
    return this.graphs.run(`${kind} ${step.size} ${step.length}`, new Map([...Object.entries(tensors), ...more]), () =>
      body(step, tensors),
    );
  }
}
