"""The peer: PyTorch + PEFT on the same model, tokens, batch and threads. Prints one JSON object.

usage: train_peft.py --gguf FILE --method lora|lora_checkpointing|full|rows --batch B --length T --steps N --warmup N --threads N [--tokens FILE]
`rows` is the dense-mask formulation of the paper's authors: full gradients, masked to the selected rows.
Tokens: [N, B, T] int32 little-endian in FILE (made by the caller, so that both sides see the same), labels = tokens.
"""
import argparse
import json
import os
import resource
import time

parser = argparse.ArgumentParser()
parser.add_argument("--gguf", required=True)
parser.add_argument("--method", required=True, choices=["lora", "lora_checkpointing", "full", "rows"])
parser.add_argument("--batch", type=int, required=True)
parser.add_argument("--length", type=int, required=True)
parser.add_argument("--steps", type=int, default=4)
parser.add_argument("--warmup", type=int, default=1)
parser.add_argument("--threads", type=int, default=os.cpu_count())
parser.add_argument("--rank", type=int, default=16)
parser.add_argument("--rows", type=int, default=32)
parser.add_argument("--lr", type=float, default=1e-4)
parser.add_argument("--tokens", required=True)
args = parser.parse_args()

started = time.perf_counter()
import numpy as np
import torch
from transformers import AutoModelForCausalLM

torch.set_num_threads(args.threads)
folder, name = os.path.split(os.path.abspath(args.gguf))
model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32)
model.config.use_cache = False
targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
masks = {}
if args.method.startswith("lora"):
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(model, LoraConfig(r=args.rank, lora_alpha=2 * args.rank, target_modules=targets, task_type="CAUSAL_LM"))
    if args.method == "lora_checkpointing":
        model.gradient_checkpointing_enable()
        model.enable_input_require_grads()
elif args.method == "rows":
    for key, p in model.named_parameters():
        p.requires_grad_(any(f".{t}.weight" in key for t in targets))
        if p.requires_grad:
            # l2 score of output rows, ties to the lower index.
            score = (p.detach() ** 2).sum(1)
            chosen = torch.sort(score, descending=True, stable=True).indices[: args.rows]
            mask = torch.zeros(p.shape[0], 1)
            mask[chosen] = 1
            masks[p] = mask
model.train()
trainable = [p for p in model.parameters() if p.requires_grad]
optimizer = torch.optim.AdamW(trainable, lr=args.lr, weight_decay=0.0)
data = torch.from_numpy(np.fromfile(args.tokens, dtype="<i4").astype(np.int64)).reshape(-1, args.batch, args.length)

losses, seconds, split = [], [], {"forward": [], "backward": [], "optimizer": []}
first_step = None
for step in range(args.warmup + args.steps):
    ids = data[step % len(data)]
    t0 = time.perf_counter()
    loss = model(input_ids=ids, labels=ids).loss
    t1 = time.perf_counter()
    loss.backward()
    for p, mask in masks.items():
        p.grad.mul_(mask)
    t2 = time.perf_counter()
    torch.nn.utils.clip_grad_norm_(trainable, 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    t3 = time.perf_counter()
    if first_step is None:
        first_step = t3 - started
    losses.append(loss.item())
    if step >= args.warmup:
        seconds.append(t3 - t0)
        split["forward"].append(t1 - t0)
        split["backward"].append(t2 - t1)
        split["optimizer"].append(t3 - t2)

def median(values):
    return sorted(values)[len(values) // 2]

counted = sum(int(m.sum()) * p.shape[1] for p, m in masks.items()) if masks else sum(p.numel() for p in trainable)
print(json.dumps({
    "tokens_per_second": args.batch * args.length / median(seconds),
    "best_tokens_per_second": args.batch * args.length / min(seconds),
    "seconds": {k: median(v) for k, v in split.items()},
    "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    "start_to_first_step_seconds": first_step,
    "trainable": counted,
    "losses": losses,
}))
