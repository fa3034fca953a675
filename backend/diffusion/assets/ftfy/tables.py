"""Writes `tables.json`: the tables and patterns of ftfy, in the syntax of Rust's regular expressions.

    python tables.py        (needs ftfy 6.3.1)
"""

import html.entities
import json
import re
from pathlib import Path

from ftfy import badness, chardata


def letter(character):
    return character if character.isascii() and (character.isalnum() or character == " ") else f"\\u{{{ord(character):x}}}"


def text_pattern(pattern):
    """A verbose pattern of Python without its blanks, comments and lookbehind."""
    out, inside, at = [], False, 0
    while at < len(pattern):
        character = pattern[at]
        at += 1
        if character == "\\":
            escape = pattern[at]
            if escape == "x":
                out.append(letter(chr(int(pattern[at + 1:at + 3], 16))))
                at += 3
            elif escape == "s":
                # Python counts four separators as blanks.
                out.append(r"\s\x1c-\x1f" if inside else r"[\s\x1c-\x1f]")
                at += 1
            elif escape == "w":
                out.append(r"\p{L}\p{N}_" if inside else r"[\p{L}\p{N}_]")
                at += 1
            else:
                raise ValueError(escape)
        elif inside:
            if character == "]":
                inside = False
            first = out[-1] == "["
            out.append(character if character in "]-" or (character == "^" and first) else letter(character))
        elif character == "[":
            inside = True
            out.append("[")
        elif character == "#":
            at = pattern.index("\n", at)
        elif character.isspace():
            continue
        else:
            out.append(character if character in "|()+{}?^" or character.isascii() and character.isalnum() else letter(character))
    return "".join(out)


def byte_pattern(pattern):
    return "(?-u)" + "".join(chr(byte) if 0x20 <= byte < 0x7F else f"\\x{byte:02x}" for byte in pattern)


def main():
    detector = chardata.UTF8_DETECTOR_RE.pattern
    detector = detector[detector.index("]", detector.index("(?<!")) + 2:]
    html5 = html.entities.html5
    upper = {name: value for name, value in chardata.HTML_ENTITIES.items() if html5.get(name[1:]) != value}
    encodings = {name: bytes([*range(0x80, 0x100)]).decode(name) for name in chardata.CHARMAP_ENCODINGS}
    tables = dict(
        badness=text_pattern(badness.BADNESS_RE.pattern), detector=text_pattern(detector),
        strict="[" + text_pattern("[" + chardata.UTF8_CLUES["utf8_continuation_strict"] + "]")[1:],
        altered=byte_pattern(chardata.ALTERED_UTF8_RE.pattern), lossy=byte_pattern(chardata.LOSSY_UTF8_RE.pattern),
        encodings=[[name, characters] for name, characters in encodings.items()], ligatures={chr(key): value for key, value in chardata.LIGATURES.items()},
        html5=html5, upper=upper,
    )
    tables["widths"] = {chr(key): value for key, value in chardata.WIDTH_MAP.items()}
    text = json.dumps(tables, ensure_ascii=True, separators=(",", ":"))
    (Path(__file__).parent / "tables.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
