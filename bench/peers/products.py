"""Rates of PyTorch's matrix products at the model's shapes. usage: products.py CONFIG_JSON TOKENS THREADS -> one JSON object: GFLOP/s by use and precision."""
import json
import sys
import time

import torch

shapes, tokens, threads = json.loads(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(threads)


def rate(dtype, backward):
    seconds = flops = 0.0
    for rows, columns, count in shapes:
        w = torch.randn(rows, columns).to(dtype)
        x = torch.randn(tokens, rows if backward else columns).to(dtype)
        product = (lambda: x @ w) if backward else (lambda: torch.nn.functional.linear(x, w))
        product()
        times = []
        for _ in range(3):
            began = time.perf_counter()
            product()
            times.append(time.perf_counter() - began)
        seconds += count * min(times)
        flops += 2.0 * count * tokens * rows * columns
    return flops / seconds / 1e9


print(json.dumps({name: {"forward": rate(dtype, False), "backward": rate(dtype, True)} for name, dtype in (("f32", torch.float32), ("bf16", torch.bfloat16))}))
