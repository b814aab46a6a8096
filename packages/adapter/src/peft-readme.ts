import type { BasePrecision } from '@rowsmith/contracts';
import type { ModuleSize } from './rows-file.js';

export interface ReadmeInput {
  readonly baseModel: string;
  readonly baseSha256: string;
  readonly rank: number;
  readonly modules: ReadonlyMap<string, ModuleSize>;
  readonly basePrecision?: BasePrecision | undefined;
  /** Of a sequence classifier, in order. */
  readonly classes?: readonly string[] | undefined;
}

const precisions: Readonly<Record<BasePrecision, string>> = {
  bf16: 'bfloat16 (16 bits)',
  nf4: 'NF4 (4 bits, blocks of 64)',
  nf4_double: 'NF4 (4 bits, blocks of 64, their scales quantised too)',
  int8: 'int8 (8 bits, one scale a row)',
};

function precisionNote(precision: BasePrecision | undefined, trained: string): string {
  if (!precision) return '';
  return `
Training read the base's weight matrices in ${precisions[precision]}, the trained ${trained} in float32. The update is relative to the float32 base. Loaded on that base,
as below, the trained ${trained} are exact and the others are without the quantisation error that training saw. On a base that is loaded quantised, the other weights keep
their quantisation error and so do the trained ${trained}, which become Q + update instead of W + update: merge into the float32 base where that matters.
`;
}

/** Values that vLLM takes for --max-lora-rank. */
const vllmRanks = [1, 8, 16, 32, 64, 128, 256, 320, 512];

const generatorUsage = `    from transformers import AutoModelForCausalLM
    from peft import PeftModel
    base = AutoModelForCausalLM.from_pretrained("<folder or hub id of the base model>", dtype="float32")
    model = PeftModel.from_pretrained(base, "<this folder>")
`;

/** Class names are a stranger's: JSON text is Python text, whatever they hold. */
const classifierUsage = (
  classes: readonly string[],
): string => `The pooler and the classifier are trained whole and stored as they are (\`modules_to_save\`). The classes, in the order of the logits:

    classes = ${JSON.stringify(classes)}
    from transformers import AutoModelForSequenceClassification
    from peft import PeftModel
    base = AutoModelForSequenceClassification.from_pretrained("<folder or hub id of the base model>", num_labels=${classes.length}, ignore_mismatched_sizes=True, dtype="float32")
    model = PeftModel.from_pretrained(base, "<this folder>")
`;

/** No time, job or attempt in it: the same adapter has the same README. */
export function peftReadme({ baseModel, baseSha256, rank, modules, basePrecision, classes }: ReadmeInput): string {
  const total = (of: (size: ModuleSize) => number) => Array.from(modules.values(), of).reduce((sum, count) => sum + count, 0);
  const rows = total((module) => module.rows);
  const columns = total((module) => module.columns);
  const biases = total((module) => (module.biases ? module.rows : 0));
  const weights = total((module) => module.rows * module.inFeatures + module.columns * module.outFeatures);
  const parameters = weights + biases;
  const biasNote =
    biases === 0 || classes
      ? ''
      : `
${biases.toLocaleString('en-US')} bias entries of these rows are trained too. PEFT loads them (\`bias: "lora_only"\`; they stay in the base layers when the adapter is disabled).
vLLM and llama.cpp's converter refuse adapters with biases: for those, merge this one into the base (\`merge_and_unload()\` of PEFT).
`;
  const number = (value: number) => value.toLocaleString('en-US');
  const whole = [rows > 0 && `${number(rows)} whole rows`, columns > 0 && `${number(columns)} whole columns`].filter(Boolean).join(' and ');
  const trained = rows > 0 ? (columns > 0 ? 'rows and columns' : 'rows') : 'columns';
  const how = [
    rows > 0 && 'lora_A holds the update of each row, lora_B says with a single 1 which row it belongs to',
    columns > 0 && 'lora_B holds the update of each column, lora_A says with a single 1 which column it belongs to',
  ];
  const vllmRank = vllmRanks.find((value) => value >= rank);
  const vllm =
    vllmRank === undefined
      ? `The rank is ${rank}; vLLM serves adapters up to rank ${vllmRanks.at(-1)}, so merge this one into the base instead (\`merge_and_unload()\` of PEFT).`
      : `vLLM needs \`--max-lora-rank ${vllmRank}\` (its default is 16):

    vllm serve <folder of the base model> --enable-lora --max-lora-rank ${vllmRank} --lora-modules tuned=<this folder>`;
  // JSON text is YAML text, whatever the name holds.
  const base = JSON.stringify(baseModel);
  return `---
base_model: ${base}
library_name: peft
pipeline_tag: ${classes ? 'text-classification' : 'text-generation'}
tags:
- ${JSON.stringify(`base_model:adapter:${baseModel}`)}
- lora
- transformers
---

# LoRA adapter for ${baseModel.replace(/[\r\n]+/g, ' ')}

${number(parameters)} trained parameters: ${whole} of ${modules.size} weight matrices of the base model. Made by Rowsmith.

The trained ${trained} are stored as an ordinary LoRA of rank ${rank}: ${how.filter(Boolean).join('; ')}, and
lora_alpha / r is 1. Merged weights, W + B·A, equal the trained weights exactly in float32. A server that keeps the adapter apart computes W·x + B·(A·x), which
differs from (W + B·A)·x by rounding only.

${biasNote.slice(1)}${biasNote && '\n'}The base model is pinned: SHA-256 ${baseSha256} over its configuration and its packed float32 weights.
${precisionNote(basePrecision, trained)}
${classes ? classifierUsage(classes) : generatorUsage}
${biases === 0 && !classes ? `${vllm}\n` : ''}`;
}
