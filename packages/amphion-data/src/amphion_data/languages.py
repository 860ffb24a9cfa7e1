"""Two letters of a language by the names and the three letters that manifests have for it.

Source: ISO 639-1 and 639-3; `cantonese` and others without two letters keep their three, as Whisper has them.
"""

from __future__ import annotations

import re

__all__ = ["language_code"]

_NAMES = """
af afr afrikaans | am amh amharic | ar ara arabic | az aze azerbaijani | be bel belarusian | bg bul bulgarian
bn ben bengali bangla | bs bos bosnian | ca cat catalan valencian | cs ces cze czech | cy cym wel welsh
da dan danish | de deu ger german | el ell gre greek | en eng english | es spa spanish castilian | et est estonian
eu eus baq basque | fa fas per persian farsi | fi fin finnish | fr fra fre french | ga gle irish | gl glg galician
gu guj gujarati | ha hau hausa | he heb hebrew | hi hin hindi | hr hrv croatian | hu hun hungarian
hy hye arm armenian | id ind indonesian | ig ibo igbo | is isl ice icelandic | it ita italian | ja jpn japanese
jv jav javanese | ka kat geo georgian | kk kaz kazakh | km khm khmer | kn kan kannada | ko kor korean | la lat latin
lb ltz luxembourgish | lo lao | lt lit lithuanian | lv lav latvian | mk mkd mac macedonian | ml mal malayalam
mn mon mongolian | mr mar marathi | ms msa may malay | mt mlt maltese | my mya bur burmese | ne nep nepali
nl nld dut dutch flemish | no nor norwegian | pa pan punjabi panjabi | pl pol polish | ps pus pashto
pt por portuguese | ro ron rum romanian | ru rus russian | sk slk slo slovak | sl slv slovenian slovene
so som somali | sq sqi alb albanian | sr srp serbian | su sun sundanese | sv swe swedish | sw swa swahili
ta tam tamil | te tel telugu | th tha thai | tl tgl tagalog filipino | tr tur turkish | uk ukr ukrainian | ur urd urdu
uz uzb uzbek | vi vie vietnamese | wo wol wolof | xh xho xhosa | yo yor yoruba | yue cantonese
zh zho chi cmn chinese mandarin putonghua | zu zul zulu
"""
_CODES = {name: names.split()[0] for names in re.split(r"[|\n]", _NAMES) if names.strip() for name in names.split()}


def language_code(stated: str) -> str:
    """Two letters for `EN`, `en-US`, `eng`, `English` or `English (US)`; other words in lower case, as they are."""
    word = stated.strip().lower()
    head = re.split(r"[-_ (]", word, maxsplit=1)[0]
    return _CODES.get(head) or (head if re.fullmatch(r"[a-z]{2}[-_].*", word) else word)
