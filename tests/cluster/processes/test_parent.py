import subprocess
import sys

import psutil

PARENT = """
import subprocess, sys, time
print(subprocess.Popen([sys.executable, "-c", sys.argv[1]]).pid, flush=True)
time.sleep(60)
"""
CHILD = """
import time
from orimap.cluster.processes.parent import end_with_parent
end_with_parent()
print("ready", flush=True)
time.sleep(60)
"""


def test_a_process_ends_when_its_parent_is_killed():
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, CHILD], stdout=subprocess.PIPE, text=True
    ) as parent:
        child = psutil.Process(int(parent.stdout.readline()))
        assert parent.stdout.readline() == "ready\n"
        parent.kill()
        child.wait(timeout=60)
