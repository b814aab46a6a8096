import type { RowDelta } from '@rowsmith/contracts';

export interface ReadmeInput {
  readonly baseModel: string;
  readonly baseSha256: string;
  readonly rank: number;
  readonly delta: RowDelta;
}

/** Values that vLLM takes for --max-lora-rank. */
const vllmRanks = [1, 8, 16, 32, 64, 128, 256, 320, 512];

/** No time, job or attempt in it: the same adapter has the same README. */
export function peftReadme({ baseModel, baseSha256, rank, delta }: ReadmeInput): string {
  const rows = Array.from(delta.values()).reduce((sum, { indices }) => sum + indices.length, 0);
  const parameters = Array.from(delta.values()).reduce((sum, { delta: update }) => sum + update.length, 0);
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
pipeline_tag: text-generation
tags:
- ${JSON.stringify(`base_model:adapter:${baseModel}`)}
- lora
- transformers
---

# LoRA adapter for ${baseModel.replace(/[\r\n]+/g, ' ')}

${parameters.toLocaleString('en-US')} trained parameters: ${rows.toLocaleString('en-US')} whole rows of ${delta.size} weight matrices of the base model. Made by Rowsmith.

The trained rows are stored as an ordinary LoRA of rank ${rank}: lora_A holds the update of each row, lora_B says with a single 1 which row it belongs to, and
lora_alpha / r is 1. Merged weights, W + B·A, equal the trained weights exactly in float32. A server that keeps the adapter apart computes W·x + B·(A·x), which
differs from (W + B·A)·x by rounding only.

The base model is pinned: SHA-256 ${baseSha256} over its configuration and its packed float32 weights.

    from transformers import AutoModelForCausalLM
    from peft import PeftModel
    base = AutoModelForCausalLM.from_pretrained("<folder or hub id of the base model>", dtype="float32")
    model = PeftModel.from_pretrained(base, "<this folder>")

${vllm}
`;
}
