import type { DecoderFamily } from './decoder-family.js';
import { gemma2 } from './gemma.js';
import { gemma3 } from './gemma3.js';
import { llama } from './llama.js';
import { mistral } from './mistral.js';
import { phi3 } from './phi3.js';
import { qwen2, qwen3 } from './qwen.js';

export const families: readonly DecoderFamily[] = [llama, mistral, qwen2, qwen3, gemma2, gemma3, phi3];
