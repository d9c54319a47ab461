"""The command line: what each command takes and prints. Nothing heavy is imported at the top."""

import atexit
import gc
import os
import signal
import sys
import threading
import warnings
from typing import Annotated, Any

import typer

from orimap.cluster.environment import SAFE_PATH
from orimap.flows.cli.acquisitions import replay, status
from orimap.flows.cli.analyse import compare, info, run
from orimap.flows.cli.edit import edit
from orimap.flows.cli.export import FORMATS_EXPLAINED, export
from orimap.flows.cli.index import index
from orimap.flows.cli.jobs import perform, submit
from orimap.flows.cli.machine import cluster, doctor, down, up
from orimap.flows.cli.options import SETTINGS, Command
from orimap.flows.cli.results import decide, report, verify
from orimap.flows.cli.simulate import demo, simulate
from orimap.flows.cli.view import view
from orimap.flows.cli.watch import watch
from orimap.tasks.errors import INPUT_AT_FAULT, Notice
from orimap.tasks.lines import say

EXAMPLES = """\b
Examples:
  orimap demo
      a simulated scan, analysed and compared with its truth
  orimap info scan.blo
      what is in a file, and what a run would need
  orimap run scan.blo --output results
      how many patterns, where each one is, where they overlap
  orimap run scan.mib --output results --scan-shape 256x256 --bin 2 --k 1:12
      a scan whose file does not know its shape; patterns binned 2 x 2
  orimap decide results --distinct 9
      again with exactly 9 patterns, from the fits that are there
  orimap decide results --strategy knee
      as an older rule would decide, from the fits that are there
  orimap index results --crystal silicon.cif
      which crystal each cluster is, and how it is oriented
  orimap edit results --merge 3,4 --rename 2=matrix
      correct clusters by hand, beside the automatic result
  orimap view results
      look at maps and patterns in a browser, correct clusters there
  orimap export results --to hspy
      patterns and maps for hyperspy and pyxem; other programs: orimap export --help
  orimap compare-filters scan.blo --output filters
      raw, 3x3 mean and ePattern side by side: which one to take
  orimap simulate scan.zarr --grains 12 --bend 1.5
      a scan with known truth
"""
TERMINATED = 143
STANDARD_ERROR = 2

app = typer.Typer(
    name="orimap",
    help="How many diffraction patterns a 4D-STEM scan holds, where each one is, and where they "
    "overlap.",
    epilog=EXAMPLES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # loading rich for the help alone takes longer than all the rest
    context_settings=SETTINGS,
)


def main() -> None:
    """Run the command line."""
    require_linux()
    open_missing_streams()
    os.environ.update(SAFE_PATH)
    end_cleanly_by_signals()
    look_for_cycles_seldom()
    tell_notices_plainly()
    app()


def require_linux() -> None:
    """End this process with a sentence where its system is another one."""
    if sys.platform == "linux":
        return
    name = {"darwin": "macOS", "win32": "Windows"}.get(sys.platform, sys.platform)
    say(
        f"orimap runs on Linux, not on {name}: install it on a Linux machine"
        + (", or in a Linux of the Windows Subsystem (WSL 2)." if name == "Windows" else "."),
        stream=sys.stderr,
    )
    sys.exit(INPUT_AT_FAULT)


def open_missing_streams() -> None:
    """Give this process the standard streams it was started without; they lead nowhere.

    The next files that it opens would become them otherwise, and what a library prints would go
    there. Where a stream cannot show a letter (a locale of ASCII alone), it shows "?".
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= STANDARD_ERROR:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))
        elif number and not stream.encoding.lower().startswith("utf"):
            stream.reconfigure(errors="replace")


def end_cleanly_by_signals() -> None:
    """Have signals end this process as an exception does, so that it closes what it has opened.

    What ends a run from outside (a batch system, systemd, a terminal that is closed) then ends its
    workers as well. Signals that are ignored stay ignored: SIGHUP under nohup, and Ctrl-C in what
    a shell script has started in the background, where the Ctrl-C of the terminal is for others.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: sys.exit(TERMINATED))
    sys.unraisablehook = _insist


def tell_notices_plainly() -> None:
    """Have our own warnings shown as what they say, without the line of code they come from."""
    usual = warnings.formatwarning

    def plainly(message: Any, category: type[Warning], *where: Any, **line: Any) -> str:
        if issubclass(category, Notice):
            return f"note: {message}\n"
        return usual(message, category, *where, **line)

    warnings.formatwarning = plainly


def look_for_cycles_seldom() -> None:
    """Have Python look for unused cycles of objects less often in this process.

    Loading packages makes hundreds of thousands of objects that stay: to search them again and
    again takes a tenth of the time of a small run, and so does a last search as the process ends.
    """
    gc.set_threshold(100_000, 50, 50)
    atexit.register(gc.freeze)


def _insist(unraisable: "sys.UnraisableHookArgs") -> None:
    """Send a signal again that fell into a callback, whose exceptions Python drops."""
    sent = {KeyboardInterrupt: signal.SIGINT, SystemExit: signal.SIGTERM}.get(unraisable.exc_type)
    if sent is None:
        sys.__unraisablehook__(unraisable)
    else:
        threading.Timer(0.1, os.kill, (os.getpid(), sent)).start()


def _version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        say(f"orimap {version('orimap')}")
        raise typer.Exit


@app.callback()
def _orimap(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version")
    ] = False,
) -> None:
    pass


app.command(cls=Command)(demo)
app.command(cls=Command)(simulate)
app.command(cls=Command)(info)
app.command(cls=Command)(run)
app.command("compare-filters", cls=Command)(compare)
app.command(cls=Command)(decide)
app.command(cls=Command)(index)
app.command(cls=Command)(edit)
app.command(cls=Command)(report)
app.command(cls=Command)(verify)
app.command(cls=Command)(view)
app.command(cls=Command, epilog=FORMATS_EXPLAINED)(export)
app.command(cls=Command)(watch)
app.command(cls=Command)(status)
app.command(cls=Command)(replay)
app.command(cls=Command)(up)
app.command(cls=Command)(down)
app.command(cls=Command)(submit)
app.command(cls=Command, hidden=True)(perform)
app.add_typer(cluster, name="cluster")
app.command(cls=Command)(doctor)
