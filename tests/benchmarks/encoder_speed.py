"""How many patterns a second one core encodes.

    python tests/benchmarks/encoder_speed.py [--patterns 40]

Draws patterns like those of `reflections.py` and encodes them as one chunk, once for compiling and
then timed, in this process on one core. Workers are processes of one thread: two cores do twice
as much, which is what the 500 patterns of 256 × 256 a second are asked of.
"""

import argparse
import time

import numpy as np
from reflections import draws

from orimap.tasks.patterns.reflections.encode import Encoder, encode_patterns
from orimap.tasks.patterns.reflections.lengths import Lengths


def main() -> None:
    """Print milliseconds a pattern for sizes, doses and radii."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--patterns", type=int, default=40)
    args = parser.parse_args()
    print(" side   dose radius values  ms a pattern  patterns/s on two cores")
    cases = [
        (256, 5000, 3.0, True),
        (256, 500, 3.0, True),
        (256, 50000, 3.0, True),
        (256, 5000, 1.5, True),
        (256, 5000, 6.0, True),
        (128, 5000, 3.0, True),
        (256, 50000, 3.0, False),
    ]
    for side, dose, radius, counts in cases:
        patterns = np.stack([t.counts for t in draws(args.patterns, side, radius, dose)])
        if not counts:
            patterns = (255 * np.sqrt(patterns / patterns.max())).astype(np.uint8)
        encoder = Encoder(Lengths.of_disc(radius), np.ones((side, side), bool), counts)
        beam = np.full((len(patterns), 2), np.nan)
        encode_patterns(patterns[:2], encoder, beam[:2])
        start = time.thread_time()
        found = encode_patterns(patterns, encoder, beam)
        spent = (time.thread_time() - start) / len(patterns)
        kind = "counts" if counts else "grey"
        print(
            f"{side:5d} {dose:6.0f} {radius:6.1f} {kind:6s} {1e3 * spent:13.2f} {2 / spent:24.0f}"
            f"   ({found.counts.mean():.0f} reflections)",
            flush=True,
        )


if __name__ == "__main__":
    main()
