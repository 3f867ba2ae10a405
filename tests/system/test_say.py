"""What files and requests hold is shown by a terminal, and does not move it."""

from io import StringIO

import pytest

from stellar_emulator.system.say import Printable, printable, say


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("[Fe/H] = -0.5 \u00b1 0.1\tdex\n", "[Fe/H] = -0.5 \u00b1 0.1\tdex\n"),
        ("star\x1b[2J\x1b]0;title\x07", r"star\x1b[2J\x1b]0;title\x07"),
        ("a\rb\x08\x7f\x9b1m", r"a\rb\x08\x7f\x9b1m"),
        ("\u202egpj.exe\u2066", r"\u202egpj.exe\u2066"),
        ("\ud800", r"\ud800"),
    ],
)
def test_a_terminal_shows_what_it_would_obey(text: str, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert printable(text) == shown
    stream = StringIO()
    print(text, end="", file=Printable(stream))
    assert stream.getvalue() == shown
    say(text.strip())
    assert capsys.readouterr().err == f"stellar-emulator: {printable(text.strip())}\n"
