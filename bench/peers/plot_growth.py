"""Curves of growth.mjs. usage: plot_growth.py IN.csv OUT.svg. Same input, same bytes."""
import csv
import sys

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams.update({"svg.hashsalt": "rowsmith", "svg.fonttype": "none", "font.size": 9, "axes.grid": True, "grid.alpha": 0.3})
import matplotlib.pyplot as plt

rows = list(csv.DictReader(open(sys.argv[1])))
sweeps = list(dict.fromkeys(row["sweep"] for row in rows))
titles = {"length": "tokens of a sequence (1 sequence)", "batch": "sequences of 256 tokens", "rows": "rows of each matrix (of at most 1,536)", "layers": "layers"}
figures = (("tokens_per_second", "tokens/s"), ("gflops", "GFLOP/s"), ("peak_mib", "peak RSS, MiB"))
figure, axes = plt.subplots(len(figures), len(sweeps), figsize=(3.6 * len(sweeps), 2.8 * len(figures)), squeeze=False)
for column, sweep in enumerate(sweeps):
    for line, (field, label) in enumerate(figures):
        axis = axes[line][column]
        for memory, colour in (("fast", "#1b6ca8"), ("low", "#c8553d")):
            points = sorted((float(r["x"]), float(r[field]), float(r["estimate_mib"]), r["flag"]) for r in rows if r["sweep"] == sweep and r["memory"] == memory)
            if not points:
                continue
            x = [point[0] for point in points]
            axis.plot(x, [point[1] for point in points], "o-", color=colour, label=memory, markersize=4)
            if field == "peak_mib":
                axis.plot(x, [point[2] for point in points], ":", color=colour, label=f"{memory}, estimate")
            flagged = [point for point in points if ("large" if field == "peak_mib" else "slow") in point[3]]
            axis.plot([p[0] for p in flagged], [p[1] for p in flagged], "x", color="black", markersize=9)
        axis.set_xscale("log", base=2)
        axis.xaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_ylim(bottom=0)
        axis.set_ylabel(label)
        if line == len(figures) - 1:
            axis.set_xlabel(titles[sweep])
        axis.legend(fontsize=7)
figure.tight_layout()
figure.savefig(sys.argv[2], metadata={"Date": None})
