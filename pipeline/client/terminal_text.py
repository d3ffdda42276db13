"""Text from outside, made safe to print on a terminal."""

import unicodedata

# Control characters (they begin escape sequences), changes of writing direction, surrogates, line ends.
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# Joiners: some scripts, and many emoji, need them.
_SAFE = frozenset({"\u200c", "\u200d"})


def one_line(text: str, longest: int | None = None) -> str:
    """Make text one line without control characters, of at most `longest` characters.

    A terminal obeys control characters, and this text may come from a model function or a stranger.
    """
    spaced = " ".join(text.split())
    line = "".join("�" if _is_unsafe(character) else character for character in spaced)
    return line if longest is None or len(line) <= longest else line[: longest - 1] + "…"


def _is_unsafe(character: str) -> bool:
    return unicodedata.category(character) in _UNSAFE and character not in _SAFE
