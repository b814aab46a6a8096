"""The peer: PyTorch + PEFT on the same model, tokens, batches and threads. Prints one JSON object.

usage: train_peft.py --model FOLDER --method lora|lora_checkpointing|full|rows --work FILE [--steps N] [--warmup N] [--threads N] [--precision f32|bf16]
`rows` is the dense-mask formulation of the paper's authors: full gradients, masked to the selected rows.
FILE: a JSON list of batches, each a list of {"ids", "labels"}: the batches that the other side trained on. They are padded to the longest of a batch
with an attention mask, labels with -100, as the Trainer of transformers does; batches of equal lengths have no mask.
"""
import argparse
import json
import os
import resource
import time

parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True)
parser.add_argument("--method", required=True, choices=["lora", "lora_checkpointing", "full", "rows"])
parser.add_argument("--work", required=True)
parser.add_argument("--steps", type=int, default=4)
parser.add_argument("--warmup", type=int, default=1)
parser.add_argument("--threads", type=int, default=os.cpu_count())
parser.add_argument("--rank", type=int, default=16)
parser.add_argument("--rows", type=int, default=32)
parser.add_argument("--lr", type=float, default=1e-4)
parser.add_argument("--precision", default="f32", choices=["f32", "bf16"])
args = parser.parse_args()

started = time.perf_counter()
import torch
from transformers import AutoModelForCausalLM

torch.set_num_threads(args.threads)
model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32)
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

# The head begins when the last hidden states are there: what follows up to the loss counts as loss.
head_began = [0.0]
model.get_output_embeddings().register_forward_pre_hook(lambda *_: head_began.__setitem__(0, time.perf_counter()))


def collate(batch):
    longest = max(len(row["ids"]) for row in batch)
    pad = lambda values, filler: values + [filler] * (longest - len(values))
    ids = torch.tensor([pad(row["ids"], 0) for row in batch])
    labels = torch.tensor([pad(row["labels"], -100) for row in batch])
    if all(len(row["ids"]) == longest for row in batch):
        return {"input_ids": ids, "labels": labels}
    mask = torch.tensor([pad([1] * len(row["ids"]), 0) for row in batch])
    return {"input_ids": ids, "labels": labels, "attention_mask": mask}


peak = {"RssAnon": 0.0, "RssFile": 0.0}


def look_at_memory():
    for line in open("/proc/self/status"):
        name, _, value = line.partition(":")
        if name in peak:
            peak[name] = max(peak[name], int(value.split()[0]) / 1024)


batches = json.load(open(args.work))
losses, seconds, labelled, tokens, padded = [], [], 0, 0, 0
split = {"forward": [], "loss": [], "backward": [], "optimizer": []}
first_step = None
for step in range(args.warmup + args.steps):
    batch = collate(batches[step % len(batches)])
    t0 = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=args.precision == "bf16"):
        loss = model(**batch).loss
    t1 = time.perf_counter()
    look_at_memory()
    t2 = time.perf_counter()
    loss.backward()
    for p, mask in masks.items():
        p.grad.mul_(mask)
    t3 = time.perf_counter()
    torch.nn.utils.clip_grad_norm_(trainable, 1.0)
    optimizer.step()
    t4 = time.perf_counter()
    look_at_memory()
    optimizer.zero_grad(set_to_none=True)
    if first_step is None:
        first_step = t4 - started
    losses.append(loss.item())
    if step >= args.warmup:
        seconds.append(t4 - t2 + t1 - t0)
        for name, value in (("forward", head_began[0] - t0), ("loss", t1 - head_began[0]), ("backward", t3 - t2), ("optimizer", t4 - t3)):
            split[name].append(value)
        labelled += int((batch["labels"][:, 1:] != -100).sum())
        tokens += sum(len(row["ids"]) for row in batches[step % len(batches)])
        padded += batch["input_ids"].numel()


def median(values):
    return sorted(values)[len(values) // 2]


counted = sum(int(m.sum()) * p.shape[1] for p, m in masks.items()) if masks else sum(p.numel() for p in trainable)
print(json.dumps({
    "step_seconds": seconds,
    "tokens_per_second": tokens / len(seconds) / median(seconds),
    "labelled_per_second": labelled / sum(seconds),
    "padding": padded / tokens,
    "split": {name: median(values) for name, values in split.items()},
    "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    "anonymous_mb": peak["RssAnon"],
    "file_mb": peak["RssFile"],
    "start_to_first_step_seconds": first_step,
    "trainable": counted,
    "adapter_mb": counted * 4 / 2**20,
    "losses": losses,
}))
