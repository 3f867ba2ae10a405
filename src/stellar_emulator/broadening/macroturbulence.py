"""Transfer function of radial-tangential macroturbulence of equal dispersions, with linear limb darkening.

Half of the surface moves radially and half tangentially, each with Gaussian velocities exp(-(v / zeta)^2). At an angle
of cosine mu to the line of sight, the radial dispersion is projected to zeta mu and the tangential one to zeta sqrt(1 -
mu^2) (Gray 2005, The Observation and Analysis of Stellar Photospheres, 3rd ed., eq. 17.6). Integrated over the disc,
with

    q = (pi zeta frequency)^2,

the transfer has a closed form, with Dawson's integral D. As in Gray's convolutions, rotation is another factor, as if
both were independent over the disc.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import dawsn, erf

Array = NDArray[np.float64]

SMALL = 1e-3
"""Value of q below which the functions are replaced by their first terms."""


def disc_and_limb(values: Array, frequencies: Array) -> tuple[Array, Array]:
    """Transfers of a uniform disc and of one that is as bright as mu, (n, frequencies) each; zeta in km/s, (n,)."""
    root = np.pi * np.outer(values, frequencies)
    q = root**2
    safe, safe_root = np.where(q < SMALL, 1.0, q), np.where(q < SMALL, 1.0, root)
    fall = np.exp(-safe)
    disc = (1.0 - fall) / safe
    radial = 0.5 * np.sqrt(np.pi) * erf(safe_root) / safe_root - fall
    tangential = 1.0 - dawsn(safe_root) / safe_root
    limb = (radial + tangential) / (2.0 * safe)
    return (
        np.where(q < SMALL, 1.0 - q / 2.0 + q**2 / 6.0, disc),
        np.where(q < SMALL, 2.0 / 3.0 - q / 3.0 + q**2 * (1.0 / 14.0 + 4.0 / 105.0), limb),
    )
