"""Scripts by which shells complete the command's words."""

import shutil
import subprocess

import pytest

from stellar_emulator.cli.command import main
from stellar_emulator.cli.completion import SHELLS
from stellar_emulator.cli.parser import option_names
from stellar_emulator.cli.settings import VERBS


def script_of(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["--completion", shell])
    assert ended.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_names_every_verb_and_option(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    script = script_of(shell, capsys)
    for verb in VERBS:
        (*_, line) = [one for one in script.splitlines() if f" {verb.name})" in one or f"-a {verb.name} " in one]
        for option in option_names(verb):
            within = line if shell != "fish" else script
            assert (option if shell != "fish" else f"from {verb.name}' -r -l {option[2:]}") in within


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_reads_its_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    subprocess.run([shell, "-n"], input=script_of(shell, capsys), text=True, check=True)


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["va"], ["validate"]),
        (["--ver"], ["--version"]),
        (["fit", "--med"], ["--medium"]),
        (["fit", "--nothing"], []),
        (["fit", "s"], []),
        (["train", "--grid", "my"], []),
    ],
)
def test_bash_completes_verbs_and_options_and_leaves_files_to_itself(
    words: list[str], found: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    whole = " ".join(["stellar-emulator", *words])
    asked = f"""
COMP_WORDS=({whole}); COMP_CWORD={len(words)}
_stellar_emulator stellar-emulator {words[-1]} x
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    text = script_of("bash", capsys) + asked
    told = subprocess.run(["bash", "--norc"], input=text, text=True, capture_output=True, check=True)
    assert told.stdout.split() == found
    assert told.stderr == ""
