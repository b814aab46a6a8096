"""A packed model as a transformers folder (config.json, model.safetensors in f32): both sides then start from the same bits, and the peer starts from the
format that it loads fastest. Llama and SmolLM2 only.

usage: prepare_model.py PACKED_FOLDER OUTPUT_FOLDER
"""
import json
import os
import sys

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

source, target = sys.argv[1:]
index = json.load(open(os.path.join(source, "index.json")))
config = index["config"]
if config["family"] != "llama":
    sys.exit(f"the peer is set up for Llama models only, this is {config['family']}")
weights = np.memmap(os.path.join(source, "weights.bin"), dtype="<f4", mode="r")


def tensor(name):
    entry = index["tensors"][name]
    start = entry["offset"] // 4
    return torch.from_numpy(np.array(weights[start : start + int(np.prod(entry["shape"]))]).reshape(entry["shape"]))


model = LlamaForCausalLM(LlamaConfig(
    hidden_size=config["hidden_size"], intermediate_size=config["intermediate_size"], num_hidden_layers=config["n_layers"],
    num_attention_heads=config["n_heads"], num_key_value_heads=config["n_kv_heads"], head_dim=config["head_dim"],
    vocab_size=config["vocab_size"], max_position_embeddings=config["max_position_embeddings"], rms_norm_eps=config["norm_eps"],
    rope_theta=config["rope_theta"], tie_word_embeddings=config["tie_embeddings"],
)).float()
state = model.state_dict()
heads, keys = config["n_heads"] * config["head_dim"], config["n_kv_heads"] * config["head_dim"]
packed = {
    "qkv": (("self_attn.q_proj", heads), ("self_attn.k_proj", keys), ("self_attn.v_proj", keys)),
    "o": (("self_attn.o_proj", config["hidden_size"]),),
    "gate_up": (("mlp.gate_proj", config["intermediate_size"]), ("mlp.up_proj", config["intermediate_size"])),
    "down": (("mlp.down_proj", config["hidden_size"]),),
    "attn_norm": (("input_layernorm", config["hidden_size"]),),
    "mlp_norm": (("post_attention_layernorm", config["hidden_size"]),),
}
with torch.no_grad():
    state["model.embed_tokens.weight"].copy_(tensor("embed"))
    state["model.norm.weight"].copy_(tensor("final_norm"))
    if not config["tie_embeddings"]:
        state["lm_head.weight"].copy_(tensor("lm_head"))
    for layer in range(config["n_layers"]):
        for name, parts in packed.items():
            start, whole = 0, tensor(f"layers.{layer}.{name}")
            for part, rows in parts:
                state[f"model.layers.{layer}.{part}.weight"].copy_(whole[start : start + rows])
                start += rows
model.save_pretrained(target)
