"""A Sphinx extension: a line ``<!-- verbs -->`` becomes the reference of the command, read from the verbs' settings."""

from sphinx.application import Sphinx

from stellar_emulator.cli.settings import VERBS, Option, Verb

PLACE = "<!-- verbs -->"


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx of this extension."""
    app.connect("source-read", _fill)
    return {"parallel_read_safe": True}


def _fill(app: Sphinx, docname: str, source: list[str]) -> None:
    source[0] = source[0].replace(PLACE, reference())


def reference() -> str:
    """Markdown: a heading and a table of options for each verb."""
    return "\n\n".join(_verb(verb) for verb in VERBS)


def _verb(verb: Verb) -> str:
    told = [f"## {verb.name}", verb.help]
    if verb.labels:
        told.append("Any other option is a label of the model, in the label's unit: `--teff 5777`.")
    if verb.extra:
        told.append(f"Wants the extra `{verb.extra}`.")
    return "\n\n".join([*told, "\n".join(["| option | default | |", "| --- | --- | --- |", *map(_row, verb.options)])])


def _row(option: Option) -> str:
    name = option.name.upper() + (" ..." if option.many else "") if option.positional else f"--{option.name}"
    return f"| `{name}` | `{option.default}` | {option.help} |"
