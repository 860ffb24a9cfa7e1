"""The `symbols.dict` beside released checkpoints, and the ids that their models really use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

__all__ = ["SymbolsDict"]

_SPECIAL = ("<pad>", "<bos>", "<eos>")


@dataclass(frozen=True, slots=True)
class SymbolsDict:
    """Symbols to ids: pad 0, begin 1, end 2, then all symbols of the file in the order of their code points.

    Attributes:
        ids: of each symbol.
    """

    ids: dict[str, int]

    @classmethod
    def parse(cls, text: str) -> Self:
        """From the text of the file; the numbers in it are not the ids.

        Raises:
            ValueError: a line is not of the form `SYMBOL NUMBER`.
        """
        symbols = []
        for number, line in enumerate(text.splitlines(), 1):
            symbol, _, value = line.rpartition(" ")
            if not symbol or not value.isdigit():
                raise ValueError(f"line {number} is not of the form 'SYMBOL NUMBER': {line!r}")
            symbols.append(symbol)
        return cls({symbol: number for number, symbol in enumerate([*_SPECIAL, *sorted(symbols)])})

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """From the file beside the checkpoint.

        Raises:
            FileNotFoundError: there is no such file.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"no symbols.dict at {path}; a released checkpoint is only usable with it")
        return cls.parse(path.read_text(encoding="utf-8"))

    def encode(self, phones: Sequence[str], *, blanks: bool = False) -> list[int]:
        """Ids with begin and end.

        Args:
            phones: symbols of one utterance.
            blanks: put id 0 between all ids and at both ends.

        Raises:
            LookupError: a symbol is not in the table.
        """
        unknown = [phone for phone in phones if phone not in self.ids]
        if unknown:
            raise LookupError(f"no symbol {unknown[0]!r} in this table of {len(self.ids)}")
        ids = [1, *(self.ids[phone] for phone in phones), 2]
        return [0, *(i for pair in ids for i in (pair, 0))] if blanks else ids
