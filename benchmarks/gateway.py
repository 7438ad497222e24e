"""What others wait for while one image is computed, and fifty readers who click at once, beside stock MONAI Label.

    python benchmarks/gateway.py

Both servers have the same tasks, models and images; one keeps MONAI Label's own routes, the other has our gateway. They
run one after the other, in turns, so that what else the machine does hits both. A round's readers pause for nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from common import write
from gateways.readers import all_at_once, ask_click, ask_info, summary, while_it_computes
from gateways.servers import Running, server

CONTENDERS = {"stock MONAI Label 0.8.5": True, "with the gateway": False}


def measured(running: Running, readers: int, clicks: int) -> dict[str, Any]:
    """One round of one server."""
    return {
        "info while 3 s are computed": while_it_computes(running, ask_info(running)),
        "click while 3 s are computed": while_it_computes(running, ask_click(running)),
        "readers at once": all_at_once(running, readers, clicks),
    }


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--readers", type=int, default=50)
    arguments.add_argument("--clicks", type=int, default=10, help="of each reader")
    options = arguments.parse_args()
    rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in CONTENDERS}
    for _ in range(options.rounds):
        for name, stock in CONTENDERS.items():
            with tempfile.TemporaryDirectory() as folder, server(Path(folder), stock) as running:
                rounds[name].append(measured(running, options.readers, options.clicks))
    content = {name: gathered(each) for name, each in rounds.items()}
    print(json.dumps(content, indent=1))
    write("gateway", f"python benchmarks/gateway.py {' '.join(sys.argv[1:])}".strip(), content)


def gathered(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Waiting of all rounds together; of readers at once, the median round."""
    waiting = [key for key in rounds[0] if key != "readers at once"]
    middle = sorted(rounds, key=lambda each: each["readers at once"]["p50, ms"])[len(rounds) // 2]
    return {
        **{key: summary([float(x) for x in np.concatenate([each[key] for each in rounds])]) for key in waiting},
        "readers at once": middle["readers at once"],
    }


if __name__ == "__main__":
    main()
