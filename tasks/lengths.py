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
        "measured" (from the disc of the direct beam) or "paper" (from the width of the pattern).

    References
    ----------
    Folastre et al. (2024), Sci. Rep. 14, doi:10.1038/s41598-024-63060-5: the other lengths, each
    as its share of a disc of 4 px.
    """

    disc_radius: float
    source: str

    @classmethod
    def of_disc(cls, radius_px: float) -> "Lengths":
        """Return the lengths for discs of a measured radius."""
        return cls(float(radius_px), "measured")

    @classmethod
    def of_width(cls, width_px: int) -> "Lengths":
        """Return the paper's lengths for patterns of a width."""
        return cls(PAPER_DISC_PX * width_px / PAPER_WIDTH_PX, "paper")

    def _paper(self, length_px: float) -> float:
        return length_px * self.disc_radius / PAPER_DISC_PX

    @property
    def direct_disc_radius(self) -> float:
        """Radius with which the direct beam is drawn: 6 for discs of 4."""
        return self._paper(6)

    @property
    def background_radius(self) -> float:
        """Radius of the rolling ball: a tenth of the width of 512."""
        return self._paper(51.2)

    @property
    def blur_sigma(self) -> float:
        """Standard deviation of the Gaussian before maxima are looked for: 2."""
        return self._paper(2)

    @property
    def window(self) -> float:
        """Side of the window in which a position is refined: 10."""
        return self._paper(10)

    @property
    def direct_window(self) -> float:
        """The same for the direct beam: 20."""
        return self._paper(20)

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
