"""Scripts that let a shell complete verbs, options and file names: ``stellar-emulator --completion bash``."""

from stellar_emulator.cli.settings import VERBS

SHELLS = ("bash", "zsh", "fish")

_BASH = """\
_stellar_emulator() {{
    local words
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        words="{first}"
    else
        case "${{COMP_WORDS[1]}}" in
{cases}
        esac
    fi
    if [ "$COMP_CWORD" -eq 1 ] || [[ "$2" == -* ]]; then
        COMPREPLY=($(compgen -W "$words" -- "$2"))
    fi
}}
complete -o default -F _stellar_emulator {program}
"""


def completion(shell: str, program: str) -> str:
    """The script for one of the `SHELLS`; words that are no option are completed as file names."""
    options = {verb.name: [f"--{one.name}" for one in verb.options if not one.positional] for verb in VERBS}
    if shell == "fish":
        seen = "__fish_seen_subcommand_from"
        lines = [f"complete -c {program} -n __fish_use_subcommand -l {word}" for word in ("help", "version")]
        for verb in VERBS:
            told = verb.help.replace("\\", "\\\\").replace("'", "\\'")
            lines.append(f"complete -c {program} -n __fish_use_subcommand -f -a {verb.name} -d '{told}'")
            lines += [f"complete -c {program} -n '{seen} {verb.name}' -r -l {word[2:]}" for word in options[verb.name]]
        return "\n".join(lines) + "\n"
    cases = "\n".join(
        f'            {name}) words="{" ".join([*known, "--help"])}" ;;' for name, known in options.items()
    )
    script = _BASH.format(first=" ".join([*options, "--help", "--version"]), cases=cases, program=program)
    return script if shell == "bash" else f"autoload -U +X bashcompinit && bashcompinit\n{script}"
