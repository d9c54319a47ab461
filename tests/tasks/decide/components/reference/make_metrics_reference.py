"""Work out the reference values of tests/tasks/decide/components/test_metrics.py with piq 0.8.0.

Needs an environment of its own, because torch is not a dependency of orimap:

    pip install numpy torch==2.13.0
    pip install --no-deps piq==0.8.0
    python make_metrics_reference.py

writes metrics_piq.json beside itself. piq works in float64 here, so that the reference does not
carry the rounding of float32 (which the fourth roots of MDSI would blow up).
"""

import importlib
import importlib.util
import json
import sys
import types
import warnings
from pathlib import Path

import torch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from metric_images import KINDS, SHAPES, image_pair  # noqa: E402


def piq_module(name: str) -> types.ModuleType:
    """Import one module of piq without running piq/__init__.py.

    That file also imports the learned metrics, and with them torchvision, which is not needed here
    and has to match torch exactly.
    """
    if "piq" not in sys.modules:
        package = types.ModuleType("piq")
        package.__path__ = list(importlib.util.find_spec("piq").submodule_search_locations)
        sys.modules["piq"] = package
    return importlib.import_module(f"piq.{name}")


def main() -> None:
    """Write the reference values of all images."""
    warnings.filterwarnings("ignore", message="The original MDSI supports only RGB")
    metrics = {name: getattr(piq_module(name), name) for name in ("ssim", "gmsd", "mdsi", "psnr")}
    cases = []
    for shape in SHAPES:
        for kind in KINDS:
            a, b = (torch.from_numpy(image)[None, None] for image in image_pair(kind, shape))
            case = {"kind": kind, "shape": shape}
            case |= {name: float(metric(a, b)) for name, metric in metrics.items()}
            case["mdsi_swapped"] = float(metrics["mdsi"](b, a))
            cases.append(case)
    lines = ",\n".join(json.dumps(case) for case in cases)
    (HERE / "metrics_piq.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
