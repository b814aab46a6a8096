/**
 * The exact LoRA export. Training rows S of W [out, in] by D [r, in] is LoRA with A = D and B = one-hot: B[s_k, k] = 1, so B·A has D[k] in row s_k and
 * zero elsewhere, and W + B·A is what was trained (Li & Bhaskara, arXiv 2502.11439: Y = X Wᵀ + X Dᵀ M). Training columns by E [out, c] is B = E and
 * A = one-hot; both together are B = [one-hot | E], A = [D; one-hot], whose product holds D + E, rounded once, where they cross. Scale lora_alpha / r = 1.
 */
import type { BasePrecision, RowDelta } from '@rowsmith/contracts';
import { encodeSafetensors } from '@rowsmith/hf';
import { checkRowDelta } from './check-rows.js';
import { AdapterError } from './errors.js';
import { type ExportModule, exportModules, type Placements } from './fused-modules.js';
import { loraMatrices } from './lora-matrices.js';
import { peftReadme } from './peft-readme.js';
import { peftTargets } from './peft-targets.js';
import { sizesOf } from './rows-file.js';
import { type BaseHeads, savedModule, savedTensors, splitRows } from './saved-heads.js';

export const adapterConfigName = 'adapter_config.json';
export const adapterWeightsName = 'adapter_model.safetensors';
export const readmeName = 'README.md';
/** Of adapter_model.safetensors. */
export const weightsMetadata = { format: 'pt' } as const;
/** What PEFT puts before the name of a module in its files. */
export const peftPrefix = 'base_model.model.';
export const peftA = (module: string): string => `${peftPrefix}${module}.lora_A.weight`;
export const peftB = (module: string): string => `${peftPrefix}${module}.lora_B.weight`;
/** PEFT stores a trained bias whole, under the wrapped layer. */
export const peftBias = (module: string): string => `${peftPrefix}${module}.base_layer.bias`;

export interface PeftExportOptions {
  /** What `base_model_name_or_path` says: a hub id where the base came from there, else the service's id of it. */
  readonly baseModel: string;
  /** Commit of the hub repository, or null. */
  readonly revision: string | null;
  readonly baseSha256: string;
  /** How the base was held in training; absent: f32. */
  readonly basePrecision?: BasePrecision | undefined;
  /** Bias of the untouched base, [out] f32, of every module whose biases were trained. */
  readonly baseBiases?: ReadonlyMap<string, Float32Array>;
  /** Of matrices that are parts of a module of the checkpoint. */
  readonly placements?: Placements | undefined;
  /** Sequence classifier: the heads, which are stored whole, as they were before training. */
  readonly heads?: BaseHeads | undefined;
  /** Its classes in order. */
  readonly classes?: readonly string[] | undefined;
  /** Layers of the base model. */
  readonly modelLayers: number;
}
export interface PeftExport {
  /** r of every module: the largest number of rows and columns in one. */
  readonly rank: number;
  readonly files: ReadonlyMap<string, Uint8Array>;
}

/**
 * Deterministic bytes: a function of rows and options. All modules are padded with zero rows to one rank, since vLLM reads no rank_pattern. Memory: all of A and B, once. Throws AdapterError `bad_rows`.
 */
export function exportPeft(delta: RowDelta, options: PeftExportOptions): PeftExport {
  checkRowDelta(delta, adapterWeightsName);
  const { layers, heads } = splitRows(delta, options.heads);
  const modules = exportModules(layers, options.placements);
  const rank = Math.max(...modules.map((module) => module.rank));
  const tensors = savedTensors(heads, options.heads ?? new Map(), peftPrefix);
  for (const module of modules) {
    const { name, inFeatures, outFeatures } = module;
    const { a, b } = loraMatrices(module, rank);
    const biases = trainedBias(module, options.baseBiases);
    if (biases) tensors.set(peftBias(name), { shape: [outFeatures], data: biases });
    tensors.set(peftA(name), { shape: [rank, inFeatures], data: a });
    tensors.set(peftB(name), { shape: [outFeatures, rank], data: b });
  }
  const trainsBiases = Array.from(layers.values()).some(({ biasDelta }) => biasDelta);
  const names = modules.map(({ name }) => name);
  return {
    rank,
    files: new Map([
      [adapterConfigName, configFile(names, { rank, trainsBiases, saved: [...heads.keys()].map(savedModule).sort() }, options)],
      [adapterWeightsName, encodeSafetensors(tensors, weightsMetadata)],
      [readmeName, new TextEncoder().encode(peftReadme({ ...options, rank, modules: sizesOf(delta) }))],
    ]),
  };
}

/** Bytes of adapter_config.json. Only fields that LoraConfig has: PEFT warns of others, and vLLM refuses some values of those it knows. */
export function configFile(
  modules: readonly string[],
  { rank, trainsBiases, saved }: { readonly rank: number; readonly trainsBiases: boolean; readonly saved: readonly string[] },
  options: Pick<PeftExportOptions, 'baseModel' | 'revision' | 'modelLayers'>,
): Uint8Array {
  const config = {
    base_model_name_or_path: options.baseModel,
    bias: trainsBiases ? 'lora_only' : 'none',
    fan_in_fan_out: false,
    inference_mode: true,
    ...peftTargets(modules, options.modelLayers),
    lora_alpha: rank,
    lora_dropout: 0,
    modules_to_save: saved.length > 0 ? saved : null,
    peft_type: 'LORA',
    r: rank,
    revision: options.revision,
    task_type: saved.length > 0 ? 'SEQ_CLS' : 'CAUSAL_LM',
    use_dora: false,
    use_rslora: false,
  };
  return new TextEncoder().encode(`${JSON.stringify(config, null, 2)}\n`);
}

/** The module's whole bias with the trained entries in it; undefined when none were. Parts of a fused module have no biases of their own. */
function trainedBias({ name, outFeatures, parts }: ExportModule, base: PeftExportOptions['baseBiases']): Float32Array | undefined {
  if (!parts.some(({ rows }) => rows.biasDelta)) return undefined;
  const bias = Float32Array.from(base?.get(name) ?? []);
  if (bias.length !== outFeatures) throw new AdapterError('bad_rows', `${name}: its base bias is needed to store the trained one`);
  for (const { rows, rowOffset } of parts)
    rows.indices.forEach((row, k) => {
      bias[rowOffset + row] = (bias[rowOffset + row] as number) + (rows.biasDelta?.[k] ?? 0);
    });
  return bias;
}
