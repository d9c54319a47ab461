"""The lengths that ePattern works with, in detector pixels.

The paper gives them for patterns of 512 pixels in which discs have a radius of 4 px. What they have
to follow is the size of the discs: on a detector of 96 pixels with discs of 3 px, lengths in
proportion to the width would look for spots of .75 px.
"""

from dataclasses import dataclass

# The radius of the discs for which the paper gives its lengths, and the width of its patterns.
PAPER_DISC_PX = 4.0
PAPER_WIDTH_PX = 512.0


@dataclass(frozen=True)
class Lengths:
    """Lengths in detector pixels, all in one proportion.

    Parameters
    ----------
    disc_radius : float
        Of a reflection; the decoder draws it so.
    source : str
        "measured" (from the discs in the patterns) or "paper" (from the width of the pattern).
    direct_radius : float
        Of the direct beam where it was measured: saturated or spread, it can be much broader than
        the reflections.

    References
    ----------
    Folastre et al. (2024), Sci. Rep. 14, doi:10.1038/s41598-024-63060-5: the other lengths, each
    as its share of a disc of 4 px.
    """

    disc_radius: float
    source: str
    direct_radius: float = 0.0

    @classmethod
    def of_disc(cls, radius_px: float, direct_px: float = 0.0) -> "Lengths":
        """Return the lengths for discs, and a direct beam, of measured radii."""
        return cls(float(radius_px), "measured", float(direct_px))

    @classmethod
    def of_width(cls, width_px: int) -> "Lengths":
        """Return the paper's lengths for patterns of a width."""
        return cls(PAPER_DISC_PX * width_px / PAPER_WIDTH_PX, "paper")

    def _paper(self, length_px: float) -> float:
        return length_px * self.disc_radius / PAPER_DISC_PX

    @property
    def direct_disc_radius(self) -> float:
        """Radius with which the direct beam is drawn: 6 for discs of 4, or its own if larger."""
        return max(self._paper(6), self.direct_radius)

    @property
    def intensity_diameter(self) -> float:
        """Diameter of the disc whose mean is the intensity: 3."""
        return self._paper(3)

    @property
    def prominence_diameter(self) -> float:
        """Diameter within which the pseudo-prominence finds its minimum: 25."""
        return self._paper(25)

    @property
    def direct_prominence_diameter(self) -> float:
        """The same for the direct beam: 40."""
        return self._paper(40)
