"""Rows a second against the fields and against k, from pair_attention.json: `python plot.py FILE.json`."""

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

STYLES = {
    "ours": {"color": "black", "linewidth": 2.5},
    "matrix products, bfloat16": {"color": "grey", "linestyle": ":"},
}


def main() -> None:
    source = Path(sys.argv[1])
    results = json.loads(source.read_text())["results"]
    rows = min(result["rows"] for result in results)
    results = [result for result in results if result["rows"] == rows]
    widths = sorted({result["k"] for result in results})
    figure, axes = plt.subplots(2, len(widths), figsize=(4.2 * len(widths), 7), sharey="row", squeeze=False)
    for row, task in zip(axes, ("training", "inference"), strict=True):
        for axis, k in zip(row, widths, strict=True):
            for name in results[0]["figures"]:
                points = [
                    (r["m"], r["figures"][name][task]) for r in results if r["k"] == k and task in r["figures"][name]
                ]
                if points and name != "matrix products, float32":
                    axis.plot(*zip(*points, strict=True), marker="o", markersize=3, label=name, **STYLES.get(name, {}))
            axis.set(xscale="log", yscale="log", title=f"{task}, k = t = {k}", xlabel="fields m")
            axis.set_xticks(
                [r["m"] for r in results if r["k"] == k], [r["m"] for r in results if r["k"] == k], minor=False
            )
            axis.minorticks_off()
            axis.grid(alpha=0.3)
        row[0].set_ylabel("rows/s")
    axes[0][0].legend(fontsize=7)
    figure.suptitle(f"AFM, batch {rows}")
    figure.tight_layout()
    figure.savefig(source.with_suffix(".png"), dpi=120)


if __name__ == "__main__":
    main()
