"""Print a table in plain columns, as wide as what stands in them."""

from collections.abc import Sequence


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a head and rows of words; the last column may be as long as it likes."""
    if not rows:
        print("nothing is there")
        return
    table = [head, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(head))]
    for row in table:
        words = [f"{word:<{width}}" for word, width in zip(row, widths, strict=True)]
        print("  ".join(words).rstrip())
