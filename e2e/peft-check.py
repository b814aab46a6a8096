#!/usr/bin/env python3
"""Loads an adapter with PEFT on the same base model and compares it with the engine that trained it.

Needs a virtual environment with `pip install torch transformers peft`, the project set up and built, and an adapter of a finished job:

    python e2e/peft-check.py --model ~/.cache/rowsmith/models/smollm2-135m-instruct --adapter <folder of the adapter> [--rows rows.safetensors]

The adapter's folder is what `rowsmith adapters pull` or `GET /jobs/{id}/adapter` gives; `rows.safetensors` comes from `GET /jobs/{id}/adapter?format=rows`, or lies
beside the other files in the object store. Ends with 0 when every difference is within its limit:

- base logits, transformers against engine: 1e-3 (says that both run the same base)
- tuned logits, PEFT against engine: 1e-3
- tuned logits, merged by PEFT against engine: 1e-3
- merged weights, PEFT against base + rows: 0, exactly
- PEFT warns of nothing
"""
import argparse
import json
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch
from peft import PeftModel
from safetensors.numpy import load_file
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

LIMIT = 1e-3
TEXTS = [
    "The capital of France is",
    "<|im_start|>user\nSay hello.<|im_end|>\n<|im_start|>assistant\n",
    "def add(a, b):\n    return",
]


def packed_base(folder: Path) -> LlamaForCausalLM:
    """The packed model as transformers' own: q|k|v and gate|up are split again, nothing is computed."""
    index = json.loads((folder / "index.json").read_text())
    config = LlamaConfig(**json.loads((folder / "config.json").read_text()))
    config.dtype = "float32"
    weights = np.memmap(folder / "weights.bin", dtype="<f4", mode="r")
    head_dim = index["config"]["head_dim"]
    q_rows = index["config"]["n_heads"] * head_dim
    kv_rows = index["config"]["n_kv_heads"] * head_dim
    inner = index["config"]["intermediate_size"]

    def tensor(name: str) -> torch.Tensor:
        entry = index["tensors"][name]
        start, size = entry["offset"] // 4, int(np.prod(entry["shape"]))
        return torch.from_numpy(np.array(weights[start : start + size]).reshape(entry["shape"]))

    state = {"model.embed_tokens.weight": tensor("embed"), "model.norm.weight": tensor("final_norm")}
    state["lm_head.weight"] = state["model.embed_tokens.weight"] if index["config"]["tie_embeddings"] else tensor("lm_head")
    for i in range(index["config"]["n_layers"]):
        here = f"model.layers.{i}"
        q, k, v = tensor(f"layers.{i}.qkv").split([q_rows, kv_rows, kv_rows])
        gate, up = tensor(f"layers.{i}.gate_up").split([inner, inner])
        state |= {
            f"{here}.input_layernorm.weight": tensor(f"layers.{i}.attn_norm"),
            f"{here}.post_attention_layernorm.weight": tensor(f"layers.{i}.mlp_norm"),
            f"{here}.self_attn.q_proj.weight": q,
            f"{here}.self_attn.k_proj.weight": k,
            f"{here}.self_attn.v_proj.weight": v,
            f"{here}.self_attn.o_proj.weight": tensor(f"layers.{i}.o"),
            f"{here}.mlp.gate_proj.weight": gate,
            f"{here}.mlp.up_proj.weight": up,
            f"{here}.mlp.down_proj.weight": tensor(f"layers.{i}.down"),
        }
    model = LlamaForCausalLM(config).float()
    model.load_state_dict(state, strict=True)
    return model.eval()


def engine_logits(model: Path, rows: Path, ids: list[int], vocab: int) -> np.ndarray:
    """[2, T, V]: base, tuned."""
    root = Path(__file__).resolve().parent.parent
    with tempfile.NamedTemporaryFile(suffix=".f32") as out:
        command = ["node", str(root / "e2e/engine-logits.mjs"), str(model), str(rows), json.dumps(ids), out.name]
        subprocess.run(command, check=True, cwd=root)
        return np.fromfile(out.name, dtype="<f4").reshape(2, len(ids), vocab)


def largest(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.max(np.abs(a.astype(np.float64) - b.astype(np.float64))))


def merged_weight_error(merged: LlamaForCausalLM, base: dict[str, torch.Tensor], rows: dict[str, np.ndarray]) -> float:
    """Over every matrix that PEFT may have touched: W_merged against f32(W + D) in the selected rows and W elsewhere."""
    worst = 0.0
    for name, weight in merged.state_dict().items():
        module = name.removesuffix(".weight")
        expected = base[name].numpy().copy()
        if f"{module}.indices" in rows:
            expected[rows[f"{module}.indices"]] += rows[f"{module}.delta"]
        worst = max(worst, largest(weight.numpy(), expected))
    return worst


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="folder of the packed base model")
    parser.add_argument("--adapter", type=Path, required=True, help="folder with adapter_config.json and adapter_model.safetensors")
    parser.add_argument("--rows", type=Path, help="rows.safetensors (default: in the adapter's folder)")
    options = parser.parse_args()
    rows_path = options.rows or options.adapter / "rows.safetensors"

    base = packed_base(options.model)
    base_state = {name: weight.clone() for name, weight in base.state_dict().items()}
    tokenizer = AutoTokenizer.from_pretrained(options.adapter)
    ids = [tokenizer(text)["input_ids"] for text in TEXTS]
    engine = [engine_logits(options.model, rows_path, one, base.config.vocab_size) for one in ids]

    def logits(model) -> list[np.ndarray]:
        with torch.no_grad():
            return [model(torch.tensor([one])).logits[0].numpy() for one in ids]

    def against(which: int, found: list[np.ndarray]) -> float:
        return max(largest(a, b[which]) for a, b in zip(found, engine))

    figures = {"base logits, transformers - engine": (against(0, logits(base)), LIMIT)}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tuned = PeftModel.from_pretrained(base, options.adapter).eval()
    figures["tuned logits, PEFT - engine"] = (against(1, logits(tuned)), LIMIT)
    moved = max(largest(b[1], b[0]) for b in engine)
    merged = tuned.merge_and_unload()
    figures["tuned logits, merged - engine"] = (against(1, logits(merged)), LIMIT)
    figures["merged weights, PEFT - (base + rows)"] = (merged_weight_error(merged, base_state, load_file(rows_path)), 0.0)

    ok = True
    for name, (value, limit) in figures.items():
        fine = value <= limit
        ok &= fine
        print(f"{'ok  ' if fine else 'FAIL'} {name}: {value:.3g} (limit {limit:g})")
    print(f"     (tuning moved the logits by up to {moved:.3g})")
    if moved <= LIMIT:
        print("FAIL the adapter changes nothing, so the comparison says nothing")
        ok = False
    for warning in caught:
        print(f"FAIL PEFT warns: {warning.message}")
        ok = False
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
