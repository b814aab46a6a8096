import { EngineError } from '../errors.js';
import type { Handle } from '../runtime/handle.js';
import type { Runtime } from '../runtime/runtime.js';
import { Recorder } from './recorder.js';
import { mayReside, ResidentWeights, withVariables } from './resident.js';
import { withSavedModel } from './saved-model.js';

/** Tensors by name; the same names in the same order at every run of a graph. */
export type Named = ReadonlyMap<string, Handle>;

/**
 * fed: a run is handed the engine's own weights, which costs nothing where both are in the processor's memory. resident: the session holds a copy on its
 * device.
 */
export type HoldWeights = 'fed' | 'resident';

const nodeOf = (name: string): string => name.slice(0, name.indexOf(':'));

/** One recorded computation, loaded into a session of its own. Owns the session until `dispose`. */
export class StepGraph {
  readonly #session: number;
  readonly #inputNames: string;
  readonly #outputNames: string;
  readonly #outputs: readonly string[];
  readonly #externals: readonly Handle[];
  readonly #resident: ResidentWeights;
  readonly #unwatch: () => void;
  readonly nodes: number;
  /** A tensor that it reads, such as a table of rotations, was freed: record it again. */
  #stale = false;

  /** Runs `body` once, operator by operator, to record it; its results are dropped. */
  constructor(
    private readonly runtime: Runtime,
    inputs: Named,
    body: () => Named,
    hold: HoldWeights,
  ) {
    const recorder = new Recorder(runtime);
    const inputNames = Array.from(inputs.values(), (handle) => recorder.input(handle));
    const outputs = new Map<string, string>();
    runtime.scope(() => {
      for (const [name, handle] of runtime.observed(recorder, body)) outputs.set(name, recorder.nameOf(handle));
    });
    const resident = new Map(
      recorder.externals
        .filter((handle) => hold === 'resident' && mayReside(handle))
        .map((handle) => [nodeOf(recorder.nameOf(handle)), handle]),
    );
    const held = new Set(resident.values());
    this.#externals = recorder.externals.filter((handle) => !held.has(handle));
    this.#inputNames = [...inputNames, ...this.#externals.map((handle) => recorder.nameOf(handle))].join();
    this.#outputNames = [...outputs.values()].join();
    this.#outputs = [...outputs.keys()];
    this.nodes = recorder.nodes.length;
    const nodes = withVariables(recorder.nodes, resident);
    this.#session = named(() => withSavedModel(nodes, (folder) => runtime.savedModels.load(folder)));
    this.#resident = new ResidentWeights(runtime, this.#session, resident);
    this.#unwatch = runtime.watch(recorder.externals, () => {
      this.#stale = true;
    });
  }

  get stale(): boolean {
    return this.#stale;
  }

  /** In the caller's scope. */
  run(inputs: Named): Named {
    const { runtime } = this;
    named(() => this.#resident.bringUpToDate());
    const handles = named(() =>
      runtime.savedModels.run(this.#session, [...inputs.values(), ...this.#externals], this.#inputNames, this.#outputNames),
    );
    return new Map(this.#outputs.map((name, i) => [name, handles[i] as Handle]));
  }

  dispose(): void {
    this.#unwatch();
    this.#resident.dispose();
    this.runtime.savedModels.delete(this.#session);
  }
}

function named<T>(body: () => T): T {
  try {
    return body();
  } catch (cause) {
    if (cause instanceof EngineError) throw cause;
    throw new EngineError('infra', 'tensorflow', `graph: ${cause instanceof Error ? cause.message : String(cause)}`, null, { cause });
  }
}
