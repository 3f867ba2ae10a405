import numpy as np
import pytest

from stars import ARCHIVE
from stellar_emulator.errors import InputError
from stellar_emulator.observed.masks import masked, parse_masks


def test_names_take_their_half_width_and_prefixes_all_their_lines() -> None:
    assert parse_masks(ARCHIVE, "Ca II 8544") == [(8543.44, 8545.44)]
    assert len(parse_masks(ARCHIVE, "ca ii, 8615-8627")) == 4


def test_ranges_hide_their_pixels() -> None:
    pixels = ARCHIVE.wavelength.pixels
    hidden = masked(pixels, parse_masks(ARCHIVE, "8615-8627"))
    assert pixels[hidden][[0, -1]] == pytest.approx([8615.0, 8627.0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Ca II 8554", "did you mean Ca II 8544"),
        ("DIB", "Known are"),
        ("8627-8615", "is empty"),
        ("861.5-862.7", "861.5-862.7 hides nothing of the model's 8460 to 8700 Angstrom: give it in Angstrom"),
    ],
)
def test_unknown_and_empty_masks_are_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_masks(ARCHIVE, text)


def test_no_pixel_is_hidden_without_masks() -> None:
    assert not masked(np.array([8500.0]), []).any()
