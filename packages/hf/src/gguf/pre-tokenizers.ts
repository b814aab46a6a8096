/** tokenizer.ggml.pre -> the normalizer and pre-tokenizer of Hugging Face's tokenizer.json that llama.cpp stands in for with that name. */
export interface PreTokenization {
  readonly normalizer: object | null;
  readonly preTokenizer: object;
  /** BPE option of the models with that pre-tokenizer. */
  readonly ignoreMerges: boolean;
}

const byteLevel = (useRegex: boolean) => ({ type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: useRegex });
const split = (regex: string) => ({ type: 'Split', pattern: { Regex: regex }, behavior: 'Isolated', invert: false });
const sequence = (...pretokenizers: object[]) => ({ type: 'Sequence', pretokenizers });

const digitsThenGpt2: PreTokenization = {
  normalizer: null,
  preTokenizer: sequence({ type: 'Digits', individual_digits: true }, byteLevel(true)),
  ignoreMerges: false,
};
const llama3Regex =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const qwen2Regex =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const llama3: PreTokenization = { normalizer: null, preTokenizer: sequence(split(llama3Regex), byteLevel(false)), ignoreMerges: true };

export const preTokenizations: ReadonlyMap<string, PreTokenization> = new Map([
  ['smollm', digitsThenGpt2],
  ['gpt-2', { normalizer: null, preTokenizer: byteLevel(true), ignoreMerges: false }],
  ['llama-bpe', llama3],
  ['llama3', llama3],
  ['qwen2', { normalizer: { type: 'NFC' }, preTokenizer: sequence(split(qwen2Regex), byteLevel(false)), ignoreMerges: false }],
]);
