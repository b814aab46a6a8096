/** A random two-layer model of 10,000 parameters with a tokenizer of bytes, packed like any other: what a real job needs to run in seconds. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PackedModelIndex } from '@rowsmith/contracts';
import { addImported, encodeSafetensors, importFolder, type TensorToWrite } from '@rowsmith/hf';

const specials = ['<pad>', '<s>', '</s>'];
const [hidden, layers, heads, keyHeads, headDim, inner] = [16, 2, 2, 1, 8, 32];
const vocab = 256 + specials.length;

/** `{role}: {content}` and an end token for every message; answers are what follows `assistant: `. */
const chatTemplate =
  "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '</s>' }}{% endfor %}{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}";

/** Puts the model into the store under `id`. The same seed gives the same bytes. */
export async function addTinyModel(store: string, id = 'tiny', seed = 1): Promise<PackedModelIndex> {
  const folder = await mkdtemp(join(tmpdir(), 'rowsmith-tiny-'));
  try {
    await writeHfFolder(folder, seed);
    const { index } = await addImported(await importFolder(folder), { store, id, now: () => 1_700_000_000 });
    return index;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function writeHfFolder(folder: string, seed: number): Promise<void> {
  const json = (name: string, value: unknown) => writeFile(join(folder, name), JSON.stringify(value));
  await mkdir(folder, { recursive: true });
  await json('config.json', {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    hidden_act: 'silu',
    hidden_size: hidden,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: keyHeads,
    head_dim: headDim,
    intermediate_size: inner,
    vocab_size: vocab,
    max_position_embeddings: 256,
    rms_norm_eps: 1e-5,
    rope_theta: 10_000,
    tie_word_embeddings: true,
    pad_token_id: 0,
    bos_token_id: 1,
    eos_token_id: 2,
  });
  await json('tokenizer.json', byteTokenizer());
  await json('tokenizer_config.json', {
    tokenizer_class: 'PreTrainedTokenizerFast',
    bos_token: '<s>',
    eos_token: '</s>',
    pad_token: '<pad>',
    chat_template: chatTemplate,
  });
  await writeFile(join(folder, 'model.safetensors'), encodeSafetensors(randomWeights(seed)));
}

function randomWeights(seed: number): Map<string, TensorToWrite> {
  const next = randomNumbers(seed);
  const tensors = new Map<string, TensorToWrite>();
  const matrix = (name: string, out: number, width: number) => {
    const bound = Math.sqrt(3 / width);
    tensors.set(`model.${name}.weight`, {
      shape: [out, width],
      data: Float32Array.from({ length: out * width }, () => (2 * next() - 1) * bound),
    });
  };
  const norm = (name: string) => tensors.set(`model.${name}.weight`, { shape: [hidden], data: new Float32Array(hidden).fill(1) });
  matrix('embed_tokens', vocab, hidden);
  norm('norm');
  for (let i = 0; i < layers; i++) {
    const layer = `layers.${i}`;
    norm(`${layer}.input_layernorm`);
    matrix(`${layer}.self_attn.q_proj`, heads * headDim, hidden);
    matrix(`${layer}.self_attn.k_proj`, keyHeads * headDim, hidden);
    matrix(`${layer}.self_attn.v_proj`, keyHeads * headDim, hidden);
    matrix(`${layer}.self_attn.o_proj`, hidden, heads * headDim);
    norm(`${layer}.post_attention_layernorm`);
    matrix(`${layer}.mlp.gate_proj`, inner, hidden);
    matrix(`${layer}.mlp.up_proj`, inner, hidden);
    matrix(`${layer}.mlp.down_proj`, hidden, inner);
  }
  return tensors;
}

/** Marsaglia's xorshift32: no quality is needed, only the same numbers everywhere. In [0, 1). */
function randomNumbers(seed: number): () => number {
  let state = seed | 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

/** Byte-level BPE without merges: every byte is a token. */
function byteTokenizer(): unknown {
  const bytes = Object.fromEntries(byteLetters().map((letter, i) => [letter, i + specials.length]));
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: false };
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: specials.map((content, id) => ({
      ...{ id, content, special: true, normalized: false },
      ...{ single_word: false, lstrip: false, rstrip: false },
    })),
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: {
      ...{ type: 'BPE', dropout: null, unk_token: null, continuing_subword_prefix: null, end_of_word_suffix: null },
      ...{ fuse_unk: false, byte_fallback: false, ignore_merges: false },
      vocab: { ...Object.fromEntries(specials.map((content, id) => [content, id])), ...bytes },
      merges: [],
    },
  };
}

/** GPT-2's letters for the 256 bytes: printable Latin-1 stands for itself, the others for letters from U+0100 on. */
function byteLetters(): string[] {
  const printable = (byte: number) => (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(printable(byte) ? byte : next++));
}
