"""Which split a folder or file means by its name: train, training_set, dev, valid, eval, holdout and the like."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

EITHER = "val or test"
WORDS: Mapping[str, str] = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("val", "validation", "valid", "validate", "dev", "development"), "val"),
    **dict.fromkeys(("test", "testing", "tst"), "test"),
    **dict.fromkeys(("eval", "evaluation", "evaluate", "holdout", "heldout"), EITHER),
}
"""Word -> the split it means; `EITHER` is the test split where no other name means it, else the validation split."""
FILLERS = (
    "dataset",
    "set",
    "data",
    "split",
    "images",
    "image",
    "imgs",
    "img",
    "photos",
    "pictures",
    "files",
    "folder",
)


def split_folders(names: Collection[str]) -> dict[str, str]:
    """Folder name -> split, for those of the folders beside each other that mean one.

    Case, digits, separators and words such as "set" do not count, nor does a word that all names share (seg_train,
    seg_test). Beside folders that mean no split only names in lower case do: "Train" may be a class of vehicles.
    """
    words = {name: _words(name) for name in names}
    shared = set.intersection(*map(set, words.values())) if len(words) > 1 else set()
    meant = {
        name: word
        for name, own in words.items()
        if (
            word := WORDS.get(_joined(own))
            or WORDS.get(_joined([word for word in own if word not in shared]))
        )
    }
    if len(meant) < len(names):
        meant = {name: word for name, word in meant.items() if name == name.lower()}
    return resolved(meant)


def split_file(stem: str) -> str | None:
    """The split, or `EITHER`, that the name of a file without its suffix means: train-00000-of-00002, mnist_test."""
    words = [WORDS[word] for word in re.split(r"[-_. ]+", stem.lower()) if word in WORDS]
    return words[0] if len(set(words)) == 1 else None


def resolved(meant: Mapping[str, str]) -> dict[str, str]:
    """The same with `EITHER` decided: test where nothing else means it, else val where nothing else does, else out."""
    missing = [split for split in ("test", "val") if split not in meant.values()]
    if EITHER not in meant.values():
        return dict(meant)
    decided = missing[0] if missing else ""
    chosen = {name: decided if split == EITHER else split for name, split in meant.items()}
    return {name: split for name, split in chosen.items() if split}


def _words(name: str) -> list[str]:
    return re.findall(r"[a-z]+", name.lower())


def _joined(words: Iterable[str]) -> str:
    """The words without the fillers, as one: "training_set" and "trainingset" are both "training"."""
    text = "".join(word for word in words if word not in FILLERS)
    for filler in FILLERS:
        if text not in WORDS:
            text = text.removesuffix(filler)
    return text
