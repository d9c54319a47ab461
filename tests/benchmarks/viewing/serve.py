"""Serve one run, without the guard: what a click costs is worked out below it.

python tests/benchmarks/viewing/serve.py RESULTS PORT
"""

import sys
from pathlib import Path

import uvicorn

from orimap.flows.viewer.run_routes import run_app

if __name__ == "__main__":
    app = run_app(Path(sys.argv[1]))
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")
