"""``python -m orimap.flows``: the command line, where the folder of scripts is not known."""

from orimap.flows.cli import main

main()
