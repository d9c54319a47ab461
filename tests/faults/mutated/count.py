"""Damage files of all formats, have orimap analyse them, and count how that ends.

    .venv/bin/python tests/faults/mutated/count.py --files 320 --out build/mutated

Each file is opened and analysed in a process of its own, forked from one that has loaded all that
is needed, with a time limit. The table at the end is that of docs/use/trust-files.md. What is not
as it must be is listed with its format and seed, which make it again:

    .venv/bin/python tests/faults/mutated/count.py --only mib:1234
"""

import argparse
import contextlib
import datetime
import io
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from mutate import mutate
from write_files import ASKED, FORMATS, scan

# How a file may end, best first; of the last five there must be none.
READ, TOLD, LOW, REFUSED = "read right", "read, and told what is wrong", "not sure", "refused"
WITHIN = "differs in a few values, same answer"
WRONG, FAILED, HUNG, CRASHED = "silently wrong", "exit 1", "hung", "crashed"
ENDS = (READ, WITHIN, TOLD, LOW, REFUSED, WRONG, FAILED, HUNG, CRASHED)
NEVER = (WRONG, FAILED, HUNG, CRASHED)
# Positions whose label may differ: a file holds what it holds, and a pattern in it may be another.
MAY_DIFFER = 0.02
# The format of the file whose answer is the truth; all hold the same scan.
ANSWERED = "npy"
OPTIONS = ("--k", "1:5", "--cluster", "threads", "--quiet")


def main() -> int:
    """Count, print, and return 1 where something ended as nothing may."""
    asked = argparse.ArgumentParser()
    asked.add_argument("--files", type=int, default=320)
    asked.add_argument("--seconds", type=float, default=180.0)
    asked.add_argument("--at-once", type=int, default=2)
    asked.add_argument("--out", type=Path)
    asked.add_argument("--only", help="FORMAT:SEED, one of them")
    given = asked.parse_args()
    load()
    with tempfile.TemporaryDirectory(prefix="orimap-mutated-") as folder:
        root = Path(folder)
        bases = write_all(root / "bases")
        if given.only:
            name, seed = given.only.split(":")
            cases = [(name, int(seed))]
        else:
            names = list(FORMATS)
            # The ways go through all formats, not in step with them.
            cases = [(names[n % len(names)], n + n // len(names)) for n in range(given.files)]
        truth = limited([("truth", name) for name in bases], bases, root, given)
        answer = next(each for each in truth if each["name"] == ANSWERED)
        print(f"truth: {answer['number']} patterns, {answer['confidence']}", file=sys.stderr)
        found = limited(cases, bases, root, given, {t["name"]: t for t in truth})
    lines = table(found)
    print("\n".join(lines))
    bad = [each for each in found if each["end"] in NEVER]
    for each in bad if not given.only else found:
        print(json.dumps(each), file=sys.stderr)
    if given.out:
        given.out.mkdir(parents=True, exist_ok=True)
        (given.out / "table.md").write_text("\n".join(lines) + "\n")
        (given.out / "files.json").write_text(json.dumps(found, indent=1))
    return int(bool(bad))


def load() -> None:
    """Load what all runs need, before the first of them is forked."""
    import hdf5plugin  # noqa: F401

    import orimap  # noqa: F401
    from orimap.flows.cli import main  # noqa: F401
    from orimap.flows.pipeline import pipeline  # noqa: F401
    from orimap.tasks.acquire.formats.files import containers, mapped_files  # noqa: F401


def write_all(folder: Path) -> dict[str, Path]:
    """Write the scan in every format; return the path of each, in a folder of its own."""
    data, bases = scan(), {}
    for name, write in FORMATS.items():
        (folder / name).mkdir(parents=True)
        bases[name] = write(folder / name, data)
    return bases


def limited(cases, bases, root, given, truths=None):
    """Have every case tried in a process of its own, some at a time; return what came out."""
    waiting, running, found = list(enumerate(cases)), {}, []
    while waiting or running:
        while waiting and len(running) < given.at_once:
            number, case = waiting.pop(0)
            place = root / f"{'t' if truths is None else 'c'}{number}"
            place.mkdir()
            child = os.fork()
            if not child:
                os.setsid()
                one(case, bases, place, truths)
            running[child] = (case, place, time.monotonic() + given.seconds)
        time.sleep(0.02)
        for child, (case, place, ends) in list(running.items()):
            ended, status = os.waitpid(child, os.WNOHANG)
            hung = not ended and time.monotonic() > ends
            if not (ended or hung):
                continue
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
            if hung:
                os.waitpid(child, 0)
            said = place / "found.json"
            told = json.loads(said.read_text()) if said.exists() else {}
            if hung:
                told["end"] = HUNG
            elif os.WIFSIGNALED(status) or "end" not in told:
                told |= {"end": CRASHED, "status": status}
            found.append({"case": ":".join(map(str, case)), "format": case[0], **told})
            del running[child]
            shutil.rmtree(place, ignore_errors=True)
            if truths is not None:
                print(f"{len(found)} of {len(cases)}: {found[-1]}"[:300], file=sys.stderr)
    return found


def one(case, bases, place, truths):
    """Try one case, in a process of its own, and write down what came out."""
    name = case[1] if case[0] == "truth" else case[0]
    told = {"name": name}
    try:
        shutil.copytree(bases[name].parent, place / "files", dirs_exist_ok=True)
        path = place / "files" / bases[name].name
        if truths is not None:
            told["done"] = mutate(place / "files", case[1])
        options = list(ASKED.get(name, ()))
        told |= tried(path, options, place, truths, name)
    except BaseException:
        told |= {"end": FAILED, "why": traceback.format_exc()[-2000:]}
    (place / "found.json").write_text(json.dumps(told))
    os._exit(0)


def tried(path, options, place, truths, name):
    """Return how a file ends: by `orimap info`, then by what is read, then by `orimap run`.

    What is read as it was written, or tells what is wrong with it, needs no run.
    """
    code, said = command(["info", str(path), *options])
    if code != 0:
        return {"end": REFUSED if code == 2 else FAILED, "why": said[-1500:]}
    told = {line[4:].strip() for line in said.splitlines() if line.startswith("note ")}
    told |= {line[5:].strip() for line in said.splitlines() if line.startswith("guess ")}
    if truths is None and name != ANSWERED:
        return {"end": READ, "told": sorted(told)}
    known = set() if truths is None else {*truths[name]["told"], *truths[ANSWERED]["told"]}
    if truths is not None:
        if told - known:
            return {"end": TOLD, "told": sorted(told - known)[:3]}
        if holds_the_scan(path, options):
            return {"end": READ}
    output = place / "results"
    code, said = command(["run", str(path), *options, "--output", str(output), *OPTIONS])
    if code != 0:
        return {"end": REFUSED if code == 2 else FAILED, "why": said[-1500:]}
    answer = results(output)
    if truths is None:
        return {"end": READ, **answer, "told": sorted({*told, *answer["told"]})}
    truth = truths[ANSWERED]
    end = WITHIN
    if {*answer["told"]} - known:
        end = TOLD
    elif answer["confidence"] != "high":
        end = LOW
    elif answer["number"] != truth["number"] or apart(answer["map"], truth["map"]):
        end = WRONG
    return {"end": end, "number": answer["number"], "confidence": answer["confidence"]}


def command(words):
    """Run a command of orimap's in this process; return its exit code and what it said."""
    from orimap.flows.cli import main

    said, sys.argv = io.StringIO(), ["orimap", *words]
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            main.app()
        except SystemExit as ended:
            return int(ended.code or 0), said.getvalue()
    return 0, said.getvalue()


def holds_the_scan(path, options):
    """Return whether a file is read as the scan that was written, every value of it."""
    from orimap.tasks.acquire.open_acquisition import open_acquisition
    from orimap.tasks.errors import InputError

    shape = tuple(map(int, options[1].split("x"))) if options else None
    try:
        acquisition = open_acquisition(path, scan_shape=shape)
        rows, columns = acquisition.scan_shape
        values = acquisition.read(slice(0, rows), slice(0, columns))
    except InputError:
        return False
    wanted = scan()
    if acquisition.reader == "EMPAD":
        wanted = np.kron(wanted, np.ones((1, 1, 4, 4)))
    return acquisition.no_data is None and np.array_equal(values, wanted)


def results(output):
    """Return what a run has decided, and all that it tells."""
    import zarr

    import orimap

    opened = orimap.open(output)
    stored = zarr.open_group(output / "analysis.zarr", mode="r")
    found = stored["acquisition"].attrs
    told = [*found["notes"], *found["guesses"], *stored.attrs["notes"]]
    return {
        "number": int(opened.number),
        "confidence": str(opened.confidence),
        "map": np.asarray(opened.labels).tolist(),
        "told": sorted(set(map(str, told))),
    }


def apart(labels, truth):
    """Return whether two maps differ at more positions than may, whatever the labels are called."""
    labels, truth = np.array(labels), np.array(truth)
    if labels.shape != truth.shape:
        return True
    same = 0
    for label in np.unique(labels):
        _, counts = np.unique(truth[labels == label], return_counts=True)
        same += counts.max()
    return same < (1 - MAY_DIFFER) * labels.size


def table(found):
    """Return the counts as Markdown."""
    day = datetime.datetime.now(datetime.UTC).date()
    counts = {name: Counter() for name in dict.fromkeys(each["format"] for each in found)}
    for each in found:
        counts[each["format"]][each["end"]] += 1
    lines = [
        f"{len(found)} damaged files, {day}.",
        "",
        "| format | files | " + " | ".join(ENDS) + " |",
        "|---|" + "---:|" * (1 + len(ENDS)),
    ]
    for name, of in counts.items():
        cells = (str(of[end]) for end in ENDS)
        lines.append(f"| {name.replace('_', ' ')} | {sum(of.values())} | {' | '.join(cells)} |")
    total = Counter(each["end"] for each in found)
    lines.append(f"| all | {len(found)} | {' | '.join(str(total[end]) for end in ENDS)} |")
    return lines


if __name__ == "__main__":
    sys.exit(main())
