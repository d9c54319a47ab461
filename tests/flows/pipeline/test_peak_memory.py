"""What a run takes in memory, against what is predicted before it starts."""

import json
import subprocess
import sys
import textwrap

import pytest

from orimap.tasks.simulate.recipe import ScanRecipe
from orimap.tasks.simulate.write_scan import write_scan
from orimap.tasks.stream.memory import chunk_bytes_for

SCAN, DETECTOR = (32, 64), (256, 256)

# In a process of its own: only what the run takes is measured.
RUN = """
    import sys
    from orimap.flows.pipeline.pipeline import run_pipeline
    from orimap.flows.pipeline.runtime.runner import NoDisplay, PlainRunner
    from orimap.flows.request.request import Request

    if __name__ == "__main__":
        request = Request.read(file=sys.argv[1], output=sys.argv[2], k="2:2", workers=2)
        run_pipeline(request, PlainRunner(NoDisplay()))
"""


@pytest.mark.slow
def test_a_scan_of_eight_chunks_takes_the_memory_that_was_predicted(tmp_path):
    file = tmp_path / "large.npy"
    write_scan(ScanRecipe(scan=SCAN, detector=DETECTOR, grains=2, dose=3000, seed=3), file)
    pattern_bytes = 2 * DETECTOR[0] * DETECTOR[1]
    assert SCAN[0] * SCAN[1] * pattern_bytes >= 8 * chunk_bytes_for(SCAN, pattern_bytes)
    script = tmp_path / "run.py"
    script.write_text(textwrap.dedent(RUN))
    done = subprocess.run(
        [sys.executable, script, file, tmp_path / "out"],
        capture_output=True, text=True, timeout=400,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    steps = [step for step in record["steps"] if step["name"] != "filter"]
    assert record["predicted_peak_bytes"] == max(step["predicted_bytes"] for step in steps)
    assert record["peak_bytes"] == pytest.approx(max(step["peak_bytes"] for step in steps), rel=0.2)
    # What is predicted is what is taken, within three tenths.
    assert record["peak_bytes"] == pytest.approx(record["predicted_peak_bytes"], rel=0.3)
