import { readFile } from 'node:fs/promises';
import { parseAs } from '@rowsmith/contracts';
import { Type } from 'typebox';
import { AdapterError } from './errors.js';

/** What decides the arithmetic of a LoRA without extras; anything that would change it is refused by its value. */
const PeftConfig = Type.Object({
  peft_type: Type.Literal('LORA'),
  r: Type.Integer({ minimum: 1 }),
  lora_alpha: Type.Number({ exclusiveMinimum: 0 }),
  bias: Type.Union([Type.Literal('none'), Type.Literal('lora_only')]),
  fan_in_fan_out: Type.Literal(false),
  modules_to_save: Type.Union([Type.Null(), Type.Array(Type.String())]),
  use_dora: Type.Literal(false),
  use_rslora: Type.Literal(false),
});

/** Rank and scale (lora_alpha / r) of an adapter_config.json. Throws AdapterError `bad_export`. */
export async function readPeftConfig(path: string): Promise<{
  readonly rank: number;
  readonly scale: number;
  readonly biases: boolean;
  /** Modules that are stored whole. */
  readonly saved: readonly string[];
}> {
  try {
    const { r, lora_alpha, bias, modules_to_save } = parseAs(PeftConfig, JSON.parse(await readFile(path, 'utf8')), 'adapter_config.json');
    return { rank: r, scale: lora_alpha / r, biases: bias === 'lora_only', saved: modules_to_save ?? [] };
  } catch (cause) {
    throw new AdapterError('bad_export', `the adapter's configuration cannot be used: ${(cause as Error).message}`, { cause });
  }
}
