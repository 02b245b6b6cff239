"""Names of people: what is shown, and what stands for it in paths and prompts.

A name is what somebody typed, so it never reaches a path, a shell or a model: those get the slug.
"""

from __future__ import annotations

import difflib
import hashlib
import re
import unicodedata
from collections.abc import Mapping

from forensics.errors import UsageError

MAX_NAME = 80
_NEAR = 0.6  # ratio of matching characters from which one name may be meant by another
SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")


def checked_name(name: str) -> str:
    """A name fit to be shown: composed (NFC), single spaces, 1 to 80 characters.

    Raises:
        UsageError: it is empty or too long, or holds characters that a screen does not show as
            they are (control characters, direction marks, lone surrogates).
    """
    composed = " ".join(unicodedata.normalize("NFC", name).split(" ")).strip()
    hidden = [c for c in composed if unicodedata.category(c).startswith("C") or c in "\u2028\u2029"]
    if hidden:
        codes = ", ".join(f"U+{ord(c):04X}" for c in dict.fromkeys(hidden))
        raise UsageError(f"the name {name!a} holds control characters ({codes})", "type it")
    if not any(c.isalnum() for c in composed):
        raise UsageError(f"{name!a} is no name", "use at least one letter or digit")
    if len(composed) > MAX_NAME:
        raise UsageError(f"a name of {len(composed)} characters", f"use at most {MAX_NAME}")
    return composed


def slug_of(name: str) -> str:
    """A checked name → `[a-z0-9-]`, 1 to 64 characters: a folder's name.

    Of a name that has no Latin letters or digits it is made from a hash.
    """
    plain = unicodedata.normalize("NFKD", name.casefold()).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:64].strip("-")
    if slug:
        return slug
    return "id-" + hashlib.sha256(name.casefold().encode()).hexdigest()[:12]


def unknown(name: str, enrolled: Mapping[str, str], folder: object) -> UsageError:
    """The error that nobody of that name is enrolled, with near ones.

    Args:
        enrolled: slug → name of everybody.
    """
    known = sorted(enrolled)
    near = _near(name, enrolled)
    if near:
        fix = f"did you mean {' or '.join(near)}"
    elif known:
        shown = ", ".join(known[:10]) + (", …" if len(known) > 10 else "")
        fix = f"enrolled are: {shown}"
    else:
        fix = f"enrol with: forensics identity enrol NAME --images photos/ ({folder} is empty)"
    return UsageError(f"nobody is enrolled as {name!a}", fix)


def _near(name: str, enrolled: Mapping[str, str]) -> list[str]:
    """Slugs of who is called alike, the most alike first; case does not count."""

    def alike(known: str) -> float:
        pairs = (slug_of(name), known), (name.casefold(), enrolled[known].casefold())
        return max(difflib.SequenceMatcher(None, *pair).ratio() for pair in pairs)

    likely = sorted((-alike(known), known) for known in enrolled)
    return [known for ratio, known in likely[:3] if -ratio >= _NEAR]
