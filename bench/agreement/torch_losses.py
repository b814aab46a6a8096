"""The same training by PyTorch and transformers: dense gradients of whole matrices, masked to the selected rows and columns.

usage: torch_losses.py RUN.json   (written by engine-losses.mjs)
Reads the packed weights themselves, so both sides start from the same bits. NF4 and int8 are quantised here by their own few lines of NumPy.
Prints a JSON object: the largest difference of the losses and of the gradient norms over all steps.
"""
import json
import os
import sys

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

LEVELS = np.array([-1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
                   -0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
                   0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1], dtype=np.float32)


def nf4(w):
    blocks = w.reshape(-1, 64)
    scale = np.abs(blocks).max(1, keepdims=True)
    scaled = np.divide(blocks, scale, out=np.zeros_like(blocks), where=scale > 0)
    middle = (LEVELS[1:].astype(np.float64) + LEVELS[:-1]) / 2
    return (LEVELS[np.searchsorted(middle, scaled.astype(np.float64), side="left")] * scale).reshape(w.shape)


def int8(w):
    scale = np.abs(w).max(1, keepdims=True) / np.float32(127)
    return np.rint(np.divide(w, scale, out=np.zeros_like(w), where=scale > 0)) * scale


run = json.load(open(sys.argv[1]))
index = json.load(open(os.path.join(run["folder"], "index.json")))
config = index["config"]
weights = np.memmap(os.path.join(run["folder"], "weights.bin"), dtype="<f4", mode="r")


def tensor(name):
    entry = index["tensors"][name]
    start = entry["offset"] // 4
    return np.array(weights[start : start + int(np.prod(entry["shape"]))]).reshape(entry["shape"])


model = LlamaForCausalLM(LlamaConfig(
    hidden_size=config["hidden_size"], intermediate_size=config["intermediate_size"], num_hidden_layers=config["n_layers"],
    num_attention_heads=config["n_heads"], num_key_value_heads=config["n_kv_heads"], head_dim=config["head_dim"],
    vocab_size=config["vocab_size"], max_position_embeddings=config["max_position_embeddings"], rms_norm_eps=config["norm_eps"],
    rope_theta=config["rope_theta"], tie_word_embeddings=config["tie_embeddings"], attn_implementation="eager", use_cache=False,
)).float()
state = model.state_dict()
with torch.no_grad():
    state["model.embed_tokens.weight"].copy_(torch.from_numpy(tensor("embed")))
    state["model.norm.weight"].copy_(torch.from_numpy(tensor("final_norm")))
    if not config["tie_embeddings"]:
        state["lm_head.weight"].copy_(torch.from_numpy(tensor("lm_head")))
    quantise = {"nf4": nf4, "int8": int8}.get(run["rowSparse"].get("quantization"), lambda w: w)
    D, H, K, F = config["head_dim"], config["n_heads"], config["n_kv_heads"], config["intermediate_size"]
    for i in range(config["n_layers"]):
        prefix = f"model.layers.{i}."
        for name, packed in (("input_layernorm", "attn_norm"), ("post_attention_layernorm", "mlp_norm")):
            state[f"{prefix}{name}.weight"].copy_(torch.from_numpy(tensor(f"layers.{i}.{packed}")))
        parts = {
            "qkv": (("self_attn.q_proj", H * D), ("self_attn.k_proj", K * D), ("self_attn.v_proj", K * D)),
            "o": (("self_attn.o_proj", config["hidden_size"]),),
            "gate_up": (("mlp.gate_proj", F), ("mlp.up_proj", F)),
            "down": (("mlp.down_proj", config["hidden_size"]),),
        }
        for packed, linears in parts.items():
            exact = tensor(f"layers.{i}.{packed}")
            quantised, start = quantise(exact), 0
            for name, rows in linears:
                state[f"{prefix}{name}.weight"].copy_(torch.from_numpy(quantised[start : start + rows]))
                # Selected rows and columns keep full precision.
                for module in run["modules"]:
                    if module["name"] == prefix + name:
                        full = torch.from_numpy(exact[start : start + rows])
                        state[f"{prefix}{name}.weight"][module["rows"]] = full[module["rows"]]
                        state[f"{prefix}{name}.weight"][:, module["columns"]] = full[:, module["columns"]]
                start += rows
parameters = dict(model.named_parameters())
masks = {}
for parameter in parameters.values():
    parameter.requires_grad_(False)
for module in run["modules"]:
    parameter = parameters[module["name"] + ".weight"].requires_grad_(True)
    mask = torch.zeros_like(parameter)
    mask[module["rows"]] = 1
    mask[:, module["columns"]] = 1
    masks[parameter] = mask
model.train()
options = run["rowSparse"]
optimizer = torch.optim.AdamW(list(masks), betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0)
loss_error = norm_error = 0.0
for step, batch in enumerate(run["batches"]):
    shape = (batch["size"], batch["length"])
    ids, labels = (torch.tensor(batch[key]).reshape(shape) for key in ("ids", "labels"))
    optimizer.param_groups[0]["lr"] = run["learningRates"][step]
    logits = model(input_ids=ids).logits
    loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)
    loss.backward()
    for parameter, mask in masks.items():
        parameter.grad.mul_(mask)
    norm = torch.nn.utils.clip_grad_norm_(list(masks), options["max_grad_norm"] or float("inf"))
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    loss_error = max(loss_error, abs(loss.item() - run["losses"][step]))
    norm_error = max(norm_error, abs(norm.item() - run["gradientNorms"][step]) / norm.item())
    print(f"step {step + 1}: ours {run['losses'][step]:.6f} torch {loss.item():.6f}", file=sys.stderr)
print(json.dumps({"steps": len(run["batches"]), "first_loss": run["losses"][0], "last_loss": run["losses"][-1],
                  "largest_loss_difference": loss_error, "largest_relative_norm_difference": norm_error}))
