"""What a run's earlier trials and the code of now have to do with each other: failures may be tried again."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from toprung.results.tables.forget import forget_trials
from toprung.results.tables.parts import read_table
from toprung.results.tables.schema import TRIALS
from toprung.search.driver.failed_trials import failed_trials
from toprung.spaces.user_code.source_files import pack_source
from toprung.trainables.system.storage import Storage

if TYPE_CHECKING:
    from toprung.search.runs.run_folder import RunFolder

_log = logging.getLogger("toprung")


def keep_code_and_retry(folder: RunFolder, family: str, retry_failed: bool) -> None:
    """Keep this version of the user's code in the run, and take out its failed trials if they are to be trained again.

    The caller holds the run's lock. A line for the log says when the code has changed, and how to try failures again.

    Args:
        folder: The run.
        family: The model family as the job names it.
        retry_failed: Whether the trials that raised an error are trained again, under their names.
    """
    changed = folder.keep_code(pack_source(family))
    failed = failed_trials(read_table(folder.root, TRIALS))
    if retry_failed:
        forget_trials(Storage.at(folder.root), failed)
        _log.warning("%d failed trials of this run are trained again", len(failed))
    if changed:
        again = "; --retry-failed trains those again that failed" if failed and not retry_failed else ""
        _log.warning("%s%s", changed, again)
