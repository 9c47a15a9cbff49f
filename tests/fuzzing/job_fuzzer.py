"""Malformed job files: mutants of the shipped ones, and what came of each."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from toprung.search.jobs.schema import Job
from toprung.search.preparation.prepare import new_strategy, prepared_space
from toprung.search.runs.run_folder import RunFolder
from toprung.spaces.errors import InputError
from toprung.trainables.data.source_rules.paths import place_of

MAX_SECS = 1.0
MAX_CHARS = 2000
ODD_VALUES = (
    "0x_", "2024-13-45", "!!int abc", "!!map [1]", "!!binary '='", "!!set [a]", "!!omap 3", "!!python/object:os.x {}",
    "9" * 5000, "0x" + "f" * 9000, "1e999", "-.inf", ".nan", "1:" * 400 + "1", "10" + "0" * 400, "-1", "0", "1.5",
    "~", "''", "[]", "{}", "true", "[[[[1]]]]", "{a: {b: {c: 1}}}", '"a\\0b"', '"\\uD800"', '"\\x1b[31m"', "~nobody/a",
    "x" * 300, "a/" * 3000, "*unknown", "&a [*a]", "&a {b: *a}", "? [1]", "|", ">-", "@", "`", "%", "- - - 1", "<<: 1",
    "{<<: [1]}", "{<<: {a: 1}}", "s3://key:secret@bucket/x", "module:name", "nowhere.py:Family", "..a:b", ":", "a:",
    "[" * 2000, "{a: " * 1500, "'" + "é" * 400 + "'", "!!timestamp 1", "!!float x", "!!bool maybe", "2024-01-01",
)  # fmt: skip


def _replace_value(text: str, rng: random.Random) -> str:
    lines = text.splitlines()
    number = rng.choice([at for at, line in enumerate(lines) if ":" in line])
    lines[number] = f"{lines[number].partition(':')[0]}: {rng.choice(ODD_VALUES)}"
    return "\n".join(lines)


def _misspell(text: str, rng: random.Random) -> str:
    at = rng.randrange(len(text))
    return text[:at] + rng.choice("abz_:{}[]#&*!|>'\"%@`,\t\0\u00e9\ufeff \n") + text[at + rng.randrange(3) :]


def _repeat(text: str, rng: random.Random) -> str:
    line = rng.choice(text.splitlines())
    return f"{text}\n{line}\n"


def _indent(text: str, rng: random.Random) -> str:
    lines = text.splitlines()
    number = rng.randrange(len(lines))
    lines[number] = rng.choice([" ", "   ", "\t", "- "]) + lines[number]
    return "\n".join(lines)


def _aliases(text: str, rng: random.Random) -> str:
    depth, width = rng.randrange(2, 12), rng.randrange(2, 10)
    levels = [f"    a{n}: &a{n} [{','.join([f'*a{n - 1}' if n else 'x'] * width)}]" for n in range(depth)]
    return f"name: f\ndata: digits\nspace:\n  {rng.choice(['ranges', 'fixed'])}:\n" + "\n".join(levels)


def _merge(text: str, rng: random.Random) -> str:
    value = rng.choice(["{trials: 2}", "{trials: x}", "[1, 2]", "{<<: {trials: 3}}", "5"])
    return f"data: digits\nx: &a {value}\nsearch:\n  <<: *a\n"


def _add_key(text: str, rng: random.Random) -> str:
    section = rng.choice(
        ["space:\n  fixed:", "space:\n  ranges:", "search:", "data:", "storage:", "resources:"]
    )
    name = rng.choice(
        ["learning_rate", "filters", "trials", "path", "name", "lerning_rate", "1", "[a]", "weights"]
    )
    return f"name: f\n{'' if section == 'data:' else 'data: digits'}\n{section}\n    {name}: {rng.choice(ODD_VALUES)}\n"


MUTATIONS: Sequence[Callable[[str, random.Random], str]] = (
    _replace_value, _replace_value, _misspell, _repeat, _indent, _aliases, _merge, _add_key, _add_key
)  # fmt: skip


def outcomes(folder: Path, jobs: Sequence[str], count: int, seed: int) -> Iterator[tuple[str, str]]:
    """For each of `count` mutants of these job texts, the mutant and what came of it.

    "told": wrong input in lines that can be read; "valid": nothing wrong; "TRACEBACK", "SLOW" or "UNREADABLE" else.
    """
    rng = random.Random(seed)
    file = folder / "job.yaml"
    file.write_text(jobs[0])
    _outcome(file, [])  # what is imported for a first job is no time of the second
    for number in range(count):
        mutant = MUTATIONS[number % len(MUTATIONS)](rng.choice(jobs), rng)
        is_override = number % 5 == 4
        file.write_bytes((jobs[0] if is_override else mutant).encode("utf-8", "surrogatepass"))
        overrides = [f"{rng.choice(_OVERRIDDEN)}={rng.choice(ODD_VALUES)}"] if is_override else []
        outcome, secs = _timed(file, overrides)
        if secs > MAX_SECS:  # some mutants are the first to import a module
            outcome, secs = _timed(file, overrides)
        yield (overrides or [mutant])[0], f"SLOW: {secs:.1f} s" if secs > MAX_SECS else outcome


_OVERRIDDEN = (
    "search.trials", "data.path", "data", "storage.path", "space.fixed.filters", "space.ranges.learning_rate", "seed",
    "space.name", "search", "search.metric", "search.initial_configs", "name", "a.b.c", "search.warm_start",
    "space.fixed.optimizer", "search.budgets.target", "search.sampler", "data.source", "resources.gpus",
)  # fmt: skip


def _timed(file: Path, overrides: list[str]) -> tuple[str, float]:
    """What came of a job, and the seconds of a core that it took."""
    began = time.process_time()
    outcome = _outcome(file, overrides)
    return outcome, time.process_time() - began


def check_without_images(job: Job) -> None:
    """All that `toprung check` does with a job before it looks at images."""
    RunFolder(job.run_root).check_writable()
    RunFolder(job.run_root).check_same(job)
    if job.data.path is not None:
        place_of(job.data.path)
    new_strategy(job, prepared_space(job))


def _outcome(file: Path, overrides: list[str]) -> str:
    try:
        check_without_images(Job.from_file(file, overrides))
    except InputError as error:
        lines = str(error).splitlines()
        readable = all(0 < len(line) < MAX_CHARS and line.isprintable() for line in lines)
        return "told" if lines and readable else f"UNREADABLE: {error!r}"
    except OSError as error:
        return "told" if "s3" in str(error).lower() else f"TRACEBACK: {error!r}"
    except BaseException as error:
        return f"TRACEBACK: {error!r}"
    return "valid"
