"""Prints what the running application answers to, as JSON: a program, since it holds a whole server in its process.

python route_list.py APP_FOLDER STUDIES PROTOCOL
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def main(app: str, studies: str, protocol: str) -> None:
    import monailabel.app
    from monailabel.config import settings
    from monailabel.interfaces.utils.app import app_instance

    settings.MONAI_LABEL_APP_DIR, settings.MONAI_LABEL_STUDIES = app, studies
    settings.MONAI_LABEL_APP_CONF = {"protocol": protocol, "models": str(Path(studies) / "none")}
    app_instance()
    from gateway.stock import methods_and_paths

    print(json.dumps(sorted(methods_and_paths(monailabel.app.app.router.routes))), flush=True)
    os._exit(0)  # of a server that is not run, nobody ends the threads: one that computes when Python ends aborts it


if __name__ == "__main__":
    main(*sys.argv[1:])
