"""Does PEFT compute with a downloaded classifier adapter what the engine computes with the rows it trained?

    python -m venv VENV && VENV/bin/pip install torch transformers peft
    node e2e/classifier-logits.mjs MODEL_DIR ADAPTER_DIR > logits.jsonl
    VENV/bin/python e2e/peft-classifier-check.py BASE ADAPTER_DIR logits.jsonl

BASE is the Hugging Face folder that the engine's model was packed from. Every line of logits.jsonl is {"ids": [T], "types": [T], "logits": [classes]}. The
adapter is computed apart and merged, both in f32. Prints the largest differences as JSON; ends with 1 when one is above --tolerance, when PEFT warns of keys, or
when the adapter changes nothing, for then the comparison would prove nothing.
"""

import argparse
import json
import os
import sys
import warnings

import torch
from peft import PeftModel
from transformers import AutoModelForSequenceClassification

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("base", help="Hugging Face folder")
parser.add_argument("adapter", help="folder with adapter_config.json, adapter_model.safetensors and rowsmith.json")
parser.add_argument("logits", help="output of classifier-logits.mjs")
parser.add_argument("--tolerance", type=float, default=1e-3)
args = parser.parse_args()


@torch.no_grad()
def logits_of(model, cases):
    return [model(torch.tensor([case["ids"]]), token_type_ids=torch.tensor([case["types"]])).logits[0] for case in cases]


def largest_difference(ours, theirs):
    return max((a - b).abs().max().item() for a, b in zip(ours, theirs, strict=True))


with open(args.logits) as file:
    cases = [json.loads(line) for line in file]
with open(os.path.join(args.adapter, "rowsmith.json")) as file:
    classes = json.load(file)["classes"]
ours = [torch.tensor(case["logits"]) for case in cases]
base = AutoModelForSequenceClassification.from_pretrained(args.base, num_labels=len(classes), ignore_mismatched_sizes=True, dtype=torch.float32).eval()
before = logits_of(base, cases)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    model = PeftModel.from_pretrained(base, args.adapter).eval()
apart = logits_of(model, cases)
merged = logits_of(model.merge_and_unload(), cases)
result = {
    "classes": classes,
    "apart": largest_difference(ours, apart),
    "merged": largest_difference(ours, merged),
    "changed_by": largest_difference(ours, before),
    "warnings": [str(w.message) for w in caught if "key" in str(w.message).lower()],
}
print(json.dumps(result))
sys.exit(0 if max(result["apart"], result["merged"]) <= args.tolerance < result["changed_by"] and not result["warnings"] else 1)
