import type { DecoderConfig } from '@rowsmith/contracts';
import type { ConfigFields } from './config-fields.js';

/** What a value must be when it is present; anything else is refused, because it would change what the model computes. */
export type Fixed = readonly unknown[];

/** What a family adds to the fields that every decoder has; fields left out mean the plain Llama architecture. */
export type FamilyPart = Partial<Omit<DecoderConfig, 'family'>>;

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
    /** What transformers' configuration class takes for a field that config.json leaves out. */
    readonly defaults: Readonly<Record<string, unknown>>;
    /** Fields that `describe` reads, beyond those that every decoder has. */
    readonly read: readonly string[];
    /** Fields of config.json that change nothing in the decoder, beyond those of every model. */
    readonly harmless: readonly string[];
    /** Fields that are understood only at these values. */
    readonly fixed: Readonly<Record<string, Fixed>>;
    /** base: the description so far, checked. */
    readonly describe: (fields: ConfigFields, base: DecoderConfig) => FamilyPart;
    /** The inverse: the fields of config.json beyond those that every decoder has. */
    readonly document: (config: DecoderConfig) => Readonly<Record<string, unknown>>;
  };
  /** null: llama.cpp has no architecture of that name. */
  readonly gguf: GgufDescription | null;
  /** Packed name -> Hugging Face tensors stacked by rows in this order. */
  readonly packed: {
    readonly whole: Readonly<Record<string, PackedRule>>;
    readonly layer: Readonly<Record<string, PackedRule>>;
  };
  /** Norm weights of a Hugging Face folder are w, and multiply as 1 + w. GGUF files of the family hold 1 + w already. */
  readonly normsPlusOne: boolean;
  /** Tensors some exporters leave in, which the decoder does not use. */
  readonly unusedTensors: readonly string[];
}

export interface GgufDescription {
  readonly architecture: string;
  /** Keys below `<architecture>.` that `describe` reads, that change nothing, and those understood only at these values. */
  readonly read: readonly string[];
  readonly harmless: readonly string[];
  readonly fixed: Readonly<Record<string, Fixed>>;
  /** Hugging Face name -> GGUF name, both without `.weight` or `.bias`. */
  readonly tensors: Readonly<Record<string, string>>;
  /** Hugging Face names whose rows llama.cpp interleaves within each head. */
  readonly interleaved: readonly string[];
  /** The family can rotate only the first dimensions of a head. */
  readonly partialRope?: true;
  /** Tensors that hold a part of the description: `describe` reads them. */
  readonly described: readonly string[];
  /** base: the description so far, its rope included. */
  readonly describe: (file: GgufFields, base: DecoderConfig) => FamilyPart;
}

/** A GGUF file as a family sees it: metadata below `<architecture>.`, and which tensors there are. */
export interface GgufFields {
  /** undefined when the key is absent; refused when it is no number. */
  readonly number: (key: string) => number | undefined;
  readonly hasTensor: (name: string) => boolean;
  readonly refuse: (message: string) => Error;
}

export interface PackedRule {
  /** Names with `.weight` or `.bias`. */
  readonly from: readonly string[];
  readonly shape: (c: DecoderConfig) => readonly number[];
  /** Rows of each part, in the order of `from`. */
  readonly rows: (c: DecoderConfig) => readonly number[];
  /** Absent tensors of optional parts; default: always there. */
  readonly when?: (c: DecoderConfig) => boolean;
}
