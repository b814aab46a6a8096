import type { DecoderConfig } from '@rowsmith/contracts';
import { llama } from './llama.js';

/** What a value must be when it is present; anything else is refused, because it would change what the model computes. */
export type Fixed = readonly (string | number | boolean | null)[];

/**
 * A family of decoders described by data: which config fields it has, and where its tensors are. Another family is another such object.
 * `{i}` in a tensor name stands for the layer.
 */
export interface DecoderFamily {
  readonly family: DecoderConfig['family'];
  /** First: the one written into config.json of models imported from GGUF. */
  readonly architectures: readonly string[];
  readonly modelType: string;
  readonly config: {
    /** Fields of config.json that change nothing in the decoder. */
    readonly harmless: readonly string[];
    /** Fields that are understood only at these values. */
    readonly fixed: Readonly<Record<string, Fixed>>;
  };
  readonly gguf: {
    readonly architecture: string;
    /** Keys below `<architecture>.` that change nothing, and those understood only at these values. */
    readonly harmless: readonly string[];
    readonly fixed: Readonly<Record<string, Fixed>>;
    /** Hugging Face name -> GGUF name, both without `.weight`. */
    readonly tensors: Readonly<Record<string, string>>;
    /** Hugging Face names whose rows llama.cpp interleaves within each head. */
    readonly interleaved: readonly string[];
  };
  /** Packed name -> Hugging Face tensors stacked by rows in this order. */
  readonly packed: {
    readonly whole: Readonly<Record<string, PackedRule>>;
    readonly layer: Readonly<Record<string, PackedRule>>;
  };
  /** Tensors some exporters leave in, which the decoder does not use. */
  readonly unusedTensors: readonly string[];
}
export interface PackedRule {
  readonly from: readonly string[];
  readonly shape: (c: DecoderConfig) => readonly number[];
  /** Rows of each part, in the order of `from`. */
  readonly rows: (c: DecoderConfig) => readonly number[];
  /** Absent when the embedding is tied. */
  readonly untiedOnly?: true;
}

export const families: readonly DecoderFamily[] = [llama];
