"""Text in ASCII: accents cut, typographic signs replaced, what is left named."""

from __future__ import annotations

import unicodedata

__all__ = ["to_ascii"]

_SIGNS = {
    "“": '"', "”": '"', "„": ",,", "«": "<<", "»": ">>", "‘": "'", "’": "'", "‚": ",", "‛": "'", "′": "'", "″": "''",
    "`": "`", "´": "'", "–": "-", "—": "--", "‒": "-", "―": "--", "‐": "-", "‑": "-", "−": "-", "…": "...",
    "•": "*", "·": "*", "×": "x", "÷": "/", "ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE",
    "ø": "o", "Ø": "O", "đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "þ": "th", "Þ": "Th", "ł": "l", "Ł": "L", "ı": "i",
    "ħ": "h", "Ħ": "H", "ŋ": "ng", "£": "PS", "€": "EUR", "¥": "Y=", "¢": "C/", "°": "deg", "©": "(c)", "®": "(r)",
    "™": "(tm)", "¡": "!", "¿": "?", "§": "SS", "¶": "P", "±": "+-",
    "\u00a0": " ", "\u2009": " ", "\u200b": " ", "\ufeff": "",
    "¤": "$?", "¦": "|", "¨": '"', "¬": "!", "¯": "-", "µ": "u", "¸": ",", "ŉ": "'n", "Ŋ": "NG", "Ŧ": "T", "ŧ": "t",
    "ƒ": "f", "Ə": "@", "ǝ": "@", "‖": "||", "‗": "_", "‟": '"', "†": "+", "‡": "++", "‣": "*>", "‧": ".", "‰": "%0",
    "‹": "<", "›": ">", "※": "*", "‽": "!?", "⁄": "/", "₣": "FF", "₤": "L", "₦": "N", "₩": "W", "₫": "D", "₹": "Rs",
    "₽": "R", "₿": "BTC", "←": "-", "↑": "|", "→": "-", "↓": "|", "、": ", ", "。": ". ", "⅓": " 1/3 ", "⅔": " 2/3 ",
    "⅛": " 1/8 ", "⅜": " 3/8 ", "⅝": " 5/8 ", "⅞": " 7/8 ", "½": " 1/2", "¼": " 1/4", "¾": " 3/4",
    "\u2028": "\n", "\u2029": "\n\n",
}  # fmt: skip


def to_ascii(text: str, signs: dict[str, str] | None = None) -> tuple[str, str]:
    """Transliterate Latin letters and typographic signs.

    Args:
        text: any.
        signs: replacements that go before our own.

    Returns:
        The ASCII text, and the characters that have none, each once, in order of appearance; they are left out.
    """
    if text.isascii():
        return text, ""
    table = {**_SIGNS, **(signs or {})}
    result, lost = [], []
    for character in text:
        if character.isascii():
            result.append(character)
        elif character in table:
            result.append(table[character])
        else:
            plain = unicodedata.normalize("NFKD", character)
            kept = "".join(c if c.isascii() else table.get(c, "") for c in plain)
            result.append(kept)
            if not kept and not unicodedata.combining(character) and character not in lost:
                lost.append(character)
    return "".join(result), "".join(lost)
