"""How bright a reflection is that lies a little off the Ewald sphere.

One curve serves a whole scan and all its reflections. A thin crystal of one thickness would have
fringes; thickness that varies within a grain, or along the beam's cone, washes them out, and what
remains is a bell with long flanks. Strong reflections of thicker crystals saturate, so that they
are broader and less bright than the square of their structure factor (two beams, averaged over
thickness). Cameras and displays stretch contrast. All of it is fitted.

References
----------
De Graef (2003), Introduction to Conventional Transmission Electron Microscopy, section 6.3: two
beams. The average over thickness, 1/2 / (1 + (s xi)^2), follows from there; the free exponents are
ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Points of the cone of a precessed beam at which the curve is averaged.
CONE_POINTS = 12


@dataclass(frozen=True)
class Rocking:
    """The curve: intensity = (F^2 times the mean over the cone of v / u)^power.

    There u = 1 + saturation F^2 + (s / width)^2, with F^2 as a share of the strongest of the
    crystal and s the excitation error, and v = (1 - (s / edge)^4)^2 within the edge, 0 beyond.

    Parameters
    ----------
    width : float, 1/Å
        Rocking width: about the inverse of the thickness.
    edge : float, 1/Å
        Where the flanks end: a crystal of even thickness has no more than its main maximum.
    saturation : float
        0 for a thin crystal.
    power : float
        1 where values are proportional to intensity.
    precession : float, radians
        Half angle of the cone of the beam.
    misfit : float
        Share by which amplitudes depart from the curve, since diffraction is not kinematical and
        grains are bent.
    """

    width: float = 0.008
    edge: float = 0.03
    saturation: float = 0.0
    power: float = 0.7
    precession: float = 0.0
    misfit: float = 0.2

    @property
    def reach(self) -> float:
        """Largest excitation error that is looked at, 1/Å, without the cone of the beam."""
        return self.edge

    def amplitude(
        self, share: np.ndarray, s: np.ndarray, across: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the root of the intensity, and its derivative by s.

        Parameters
        ----------
        share : array
            F^2 as a share of the strongest.
        s : array, 1/Å
            Excitation error of the axis of the cone.
        across : array, 1/Å
            Length of the reflection across the beam.
        """
        base = (1 + self.saturation * share)[..., None]
        at = s[..., None]
        if self.precession:
            angle = (np.arange(CONE_POINTS) + 0.5) * np.pi / CONE_POINTS
            at = at + self.precession * across[..., None] * np.cos(angle)
        u = base + (at / self.width) ** 2
        part = (at / self.edge) ** 2
        v = np.maximum(1 - part**2, 0)
        mean = (v**2 / u).mean(axis=-1)
        # Derivatives of v^2 and of 1 / u.
        slope = -8 * v * part * at / self.edge**2 / u - 2 * at / self.width**2 * v**2 / u**2
        half = self.power / 2
        amplitude = (share * mean) ** half
        return amplitude, half * amplitude * slope.mean(axis=-1) / np.maximum(mean, 1e-9)


def excitation_error(g: np.ndarray, wavelength: float) -> np.ndarray:
    """Return the distance of reflections from the Ewald sphere along the beam, 1/Å.

    Parameters
    ----------
    g : (..., 3) array, 1/Å
        In the sample's frame, in which electrons travel against z.
    wavelength : float, Å
    """
    radius = 1 / wavelength
    across = g[..., 0] ** 2 + g[..., 1] ** 2
    return g[..., 2] - (radius - np.sqrt(np.maximum(radius**2 - across, 0)))
