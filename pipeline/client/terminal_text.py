"""Text that others wrote, made fit to be shown."""

import unicodedata

# Controls (an escape sequence begins with one), what turns the direction of writing, halves of letters, line ends.
_UNFIT = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# Joiners: some scripts, and many emoji, are not written without them.
_FIT = frozenset({"\u200c", "\u200d"})


def one_line(text: str, most: int | None = None) -> str:
    """Make text one line without control characters, of at most `most` characters where that is given.

    A terminal takes control characters for commands, and this text may come from a model function or from a stranger.
    """
    spaced = " ".join(text.split())
    line = "".join(
        "�" if unicodedata.category(letter) in _UNFIT and letter not in _FIT else letter for letter in spaced
    )
    return line if most is None or len(line) <= most else line[: most - 1] + "…"
