"""Export a bundle's model to ONNX, with ids, values and mask of encoded rows as inputs and scores as output."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from afm_core.bundle import read_bundle
from afm_core.exporting import INPUTS, OUTPUT, export_onnx
from afm_core.features.feature_map import FEATURES_FILE
from afm_core.settings import Settings
from jobs._command import parser, run
from pipelines.console import facts, screen

SECTIONS = ("run",)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the job."""
    command = parser(__doc__, "python jobs/export.py --config conf/demo.yaml --out runs/demo/model.onnx", SECTIONS)
    command.add_argument("--out", type=Path, required=True, metavar="FILE", help="the ONNX file to write")
    run(command, job, argv)


def job(settings: Settings, arguments: argparse.Namespace) -> None:
    """Export the model and print the inputs, the output and the file."""
    bundle = read_bundle(settings.run.bundle)
    rows = [
        ("bundle", str(settings.run.bundle)),
        ("model", f"{bundle.settings.model.name} {bundle.fingerprint}"),
        ("inputs", f"{', '.join(INPUTS)}: (rows, {len(bundle.feature_map.column_fields)}) int64, float32, bool"),
        ("output", f"{OUTPUT}: (rows,) float32"),
        ("feature map", str(settings.run.bundle / FEATURES_FILE)),
        ("file", str(arguments.out)),
    ]
    if arguments.dry_run:
        screen.print(facts(f"would export {settings.name}", rows))
        return
    export_onnx(bundle, arguments.out)
    screen.print(facts(f"exported {settings.name}", rows))


if __name__ == "__main__":
    main()
