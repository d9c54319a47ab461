"""``python -m orimap.flows``: the command line, where the folder of scripts is not known."""

from orimap.flows.cli.main import main

if __name__ == "__main__":
    main()
