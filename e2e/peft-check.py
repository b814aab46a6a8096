"""Does PEFT compute with a downloaded adapter what the engine computes with the rows it trained?

    python -m venv VENV && VENV/bin/pip install torch transformers peft gguf
    node e2e/engine-logits.mjs MODEL_DIR ADAPTER_DIR > logits.jsonl
    VENV/bin/python e2e/peft-check.py BASE ADAPTER_DIR logits.jsonl

BASE is what the engine's model was packed from: a GGUF file or a Hugging Face folder. Every line of logits.jsonl is {"ids": [T], "logits": [T][V]}.
The adapter is computed apart (W x + B (A x)) and merged (W + B A), both in f32. Prints the largest differences as JSON; ends with 1 when one of logits is above
--tolerance, when PEFT's merged weights are not exactly base + rows (ADAPTER_DIR/rows.safetensors) in every matrix, when PEFT warns of keys, or when the adapter
changes nothing, for then the comparison would prove nothing.
"""

import argparse
import json
import os
import sys
import warnings

import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", help="GGUF file or Hugging Face folder")
    parser.add_argument("adapter", help="folder with adapter_config.json and adapter_model.safetensors")
    parser.add_argument("logits", help="output of engine-logits.mjs")
    parser.add_argument("--tolerance", type=float, default=1e-3)
    return parser.parse_args()


def load_base(path):
    if os.path.isdir(path):
        return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
    folder, name = os.path.split(os.path.abspath(path))
    return AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32).eval()


@torch.no_grad()
def all_logits(model, cases):
    return [model(torch.tensor([case["ids"]])).logits[0] for case in cases]


def largest_difference(ours, theirs):
    return max((a - b).abs().max().item() for a, b in zip(ours, theirs, strict=True))


def parts_of(module, config):
    """The linears whose rows a weight holds, one after the other, with their heights: Phi-3 keeps q, k and v in one module, gate and up in another."""
    heads = getattr(config, "num_attention_heads", 0)
    dim = getattr(config, "head_dim", None) or config.hidden_size // max(heads, 1)
    kv = getattr(config, "num_key_value_heads", heads) * dim
    fused = {
        "qkv_proj": [("q_proj", heads * dim), ("k_proj", kv), ("v_proj", kv)],
        "gate_up_proj": [("gate_proj", config.intermediate_size), ("up_proj", config.intermediate_size)],
    }
    path, _, last = module.rpartition(".")
    return [(f"{path}.{name}", height) for name, height in fused[last]] if last in fused else [(module, None)]


def largest_weight_error(merged, base, rows, config):
    """Over all matrices: W_merged against f32(W + U), U holding D in the selected rows, E in the selected columns and f32(D + E) where they cross."""
    worst = 0.0
    for name, weight in merged.items():
        update = torch.zeros_like(base[name])
        start = 0
        for module, height in parts_of(name.removesuffix(".weight"), config):
            part = update[start : start + height] if height else update
            if f"{module}.indices" in rows:
                part[rows.pop(f"{module}.indices").long()] += rows.pop(f"{module}.delta")
            if f"{module}.columns" in rows:
                part[:, rows.pop(f"{module}.columns").long()] += rows.pop(f"{module}.column_delta").T
            start += height or 0
        worst = max(worst, (weight - (base[name] + update)).abs().max().item())
    if rows:
        sys.exit(f"rows of modules that the base has not: {', '.join(rows)}")
    return worst


def main():
    args = arguments()
    with open(args.logits) as lines:
        cases = [json.loads(line) for line in lines]
    if not cases:
        sys.exit(f"{args.logits} is empty")
    engine = [torch.tensor(case["logits"], dtype=torch.float32) for case in cases]
    base = load_base(args.base)
    untuned = all_logits(base, cases)
    base_weights = {name: weight.clone() for name, weight in base.state_dict().items()}
    # Keys that do not fit are a warning for PEFT; here they are a failure. Deprecations are not our matter.
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model = PeftModel.from_pretrained(base, args.adapter)
    apart = all_logits(model, cases)
    merged_model = model.merge_and_unload(safe_merge=True)
    merged = all_logits(merged_model, cases)
    rows = load_file(os.path.join(args.adapter, "rows.safetensors"))
    result = {
        "prompts": len(cases),
        "positions": sum(len(case["ids"]) for case in cases),
        "max_abs_difference": largest_difference(engine, apart),
        "max_abs_difference_merged": largest_difference(engine, merged),
        "max_abs_weight_error_merged": largest_weight_error(merged_model.state_dict(), base_weights, rows, merged_model.config),
        "max_abs_change_by_the_adapter": largest_difference(untuned, apart),
        "tolerance": args.tolerance,
    }
    print(json.dumps(result, indent=2))
    worst = max(result["max_abs_difference"], result["max_abs_difference_merged"])
    if not worst <= args.tolerance:
        sys.exit("PEFT and the engine differ")
    if result["max_abs_weight_error_merged"] != 0:
        sys.exit("PEFT's merged weights are not base + rows")
    if result["max_abs_change_by_the_adapter"] <= 10 * args.tolerance:
        sys.exit("the adapter changes too little for this comparison to mean anything")


main()
