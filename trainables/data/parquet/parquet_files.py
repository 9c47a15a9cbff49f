"""The Parquet files below a path: which split each belongs to, in the layouts that dataset hubs and people write."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from toprung.spaces.errors import InputError
from toprung.trainables.data.parquet.hive_folders import folder_values, is_hive, split_word
from toprung.trainables.data.source_rules.formats import has_image_suffix
from toprung.trainables.data.source_rules.paths import Place, RemotePath, entries, files_below
from toprung.trainables.data.source_rules.split_names import resolved, split_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

ALLOWED = "a folder with train.parquet or train-*.parquet (and val, test), or one .parquet file"
SUFFIXES = (".parquet", ".pq", ".parq")
PEEKED = 20  # entries of a folder that are looked at to recognise a layout
PART = re.compile(r"-(?P<number>\d{1,9})-of-(?P<count>\d{1,9})(?=\D|$)")
MAX_DEPTH = 2  # folders between the path and its files, as in default/train/0000.parquet


@dataclass(frozen=True)
class ParquetFiles:
    """The files of a data set.

    splits: split -> its files, sorted.
    unused: a line for each kind of file that is not used.
    folder_values: file, as text -> what its folders say of it (see `hive_folders`).
    """

    splits: Mapping[str, tuple[Place, ...]]
    unused: tuple[str, ...] = ()
    folder_values: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)


def is_parquet(name: str) -> bool:
    """Whether the name of a file says that it is Parquet."""
    return name.lower().endswith(SUFFIXES)


def holds_parquet(folder: Place) -> bool:
    """Whether a folder is a data set of Parquet files: some are named as a split, or there is nothing else to be used.

    A Parquet file of another name beside folders is not what the folder is about. Raises OSError for a folder that may
    not be listed.
    """
    found = entries(folder)
    files = [name for name, is_folder in found if not is_folder and is_parquet(name)]
    folders = [name for name, is_folder in found if is_folder and not name.startswith(".")]
    if files and (not folders or any(split_file(_stem(name)) for name in files)):
        return True
    return any(_begins_with_parquet(folder / name, MAX_DEPTH) for name in folders[:PEEKED])


def find_parquet_files(path: Place) -> ParquetFiles:
    """The files at `path`: one file, or a folder with a file or several for each split.

    A split is named by the file (train-00000-of-00002.parquet, mnist_test.pq) or by the folder that the file is in
    (default/train/0000.parquet, split=train/0.parquet). The files are in the folder, in its folder `data`, or in one
    other folder. Files of which none names a split are all of `train`.

    Raises:
        InputError: No training file is there, or several folders have one.
    """
    if path.is_file():
        return ParquetFiles({"train": (path,)})
    below = files_below(path)
    files = [name for name in below if is_parquet(name) and not _last(name).startswith((".", "_"))]
    groups = _by_configuration(files)
    home = _chosen(path, groups)
    if home is None:
        there = ", ".join(name for name, _ in entries(path)[:5]) or "nothing"
        raise InputError.single("data.path", f"{path} holds {there}", ALLOWED)
    splits = groups[home]
    used = {name for names in splits.values() for name in names}
    kinds = {
        f"Parquet files in other folders or of other names than those of {home or path.name}": [
            name for name in files if name not in used
        ],
        "image files beside the Parquet files": [name for name in below if has_image_suffix(name)],
    }
    unused = (
        *(f"{len(names):,} {kind} not used, such as {names[0]}" for kind, names in kinds.items() if names),
        *_about_missing_parts(used),
    )
    return ParquetFiles(
        {split: tuple(path / name for name in names) for split, names in splits.items()},
        unused,
        {str(path / name): folder_values(name.split("/")[:-1]) for name in used},
    )


def open_parquet(file: Place) -> Any:
    """The file as a `pyarrow.parquet.ParquetFile`. Raises InputError where it is none."""
    import pyarrow
    import pyarrow.parquet as parquet

    try:
        return parquet.ParquetFile(file.open() if isinstance(file, RemotePath) else file)
    except (OSError, pyarrow.ArrowException) as error:
        raise unreadable(file, error) from error


def unreadable(file: Place, error: Exception) -> InputError:
    """The error of a file that cannot be read."""
    reason = "empty" if file.stat().st_size == 0 else str(error).splitlines()[0].rstrip(". ")
    return InputError.single("data.path", f"{file} cannot be read ({reason})", "a whole Parquet file")


def _begins_with_parquet(folder: Place, depth: int) -> bool:
    """Whether Parquet files are among the first entries of a folder, or of its folders, and no images beside them."""
    try:
        found = list(islice(entries(folder), PEEKED))
    except OSError:
        return False
    names = [name for name, is_folder in found if not is_folder]
    if any(map(is_parquet, names)):
        return not any(map(has_image_suffix, names))
    return depth > 1 and any(
        _begins_with_parquet(folder / name, depth if is_hive(name) else depth - 1)
        for name, is_folder in found
        if is_folder
    )


def _by_configuration(files: Iterable[str]) -> dict[str, dict[str, list[str]]]:
    """Folder -> split -> its files; a folder that names a split, or is KEY=VALUE, is not part of the first."""
    grouped: dict[str, dict[str, list[str]]] = {}
    for name in sorted(files):
        *folders, file = name.split("/")
        plain = [folder for folder in folders if not is_hive(folder)]
        word = split_word(folder_values(folders)) or split_file(_stem(file))
        if word is None and plain and (word := split_file(plain[-1])):
            plain.pop()
        grouped.setdefault("/".join(plain), {}).setdefault(word or "", []).append(name)
    return {home: _with_splits(words) for home, words in grouped.items()}


def _stem(file: str) -> str:
    return file.rpartition(".")[0]


def _last(path: str) -> str:
    return path.rpartition("/")[2]


def _with_splits(by_word: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Split -> files, from the words that the names hold; files without a word are train's where there is no word."""
    if set(by_word) == {""}:
        return {"train": by_word[""]}
    split_of = resolved({word: word for word in by_word if word})
    chosen = {split: by_word[word] for word, split in split_of.items()}
    return {split: chosen[split] for split in ("train", "val", "test") if split in chosen}


def _about_missing_parts(files: Iterable[str]) -> Iterator[str]:
    """A line for each series of numbered files that is not whole, as of train-00000-of-00002 and -00001-of-00002."""
    numbers: dict[tuple[str, int], set[int]] = {}
    for name in sorted(files):
        if found := PART.search(name):
            series = (name[: found.start()], int(found["count"]))
            numbers.setdefault(series, set()).add(int(found["number"]))
    for (stem, count), there in numbers.items():
        missing = next(number for number in range(len(there) + 1) if number not in there)
        if len(there) < count:
            yield f"{count - len(there):,} of the {count:,} files of {stem} are not there, such as number {missing}"


def _chosen(path: Place, groups: Mapping[str, Mapping[str, list[str]]]) -> str | None:
    """The folder whose files are used; None where none has a training file."""
    homes = [home for home, splits in groups.items() if "train" in splits]
    for home in ("", "data"):
        if home in homes:
            return home
    if len(homes) > 1:
        given = f"{path} holds the data sets {', '.join(homes[:5])}"
        raise InputError.single("data.path", given, f"one of them, as in {path / homes[0]}")
    return homes[0] if homes else None
