"""A search as TensorBoard has it: a folder of events for each trial, and one for the search, below RUN/tensorboard.

What a file holds is read from it, so that nothing is written twice, whoever wrote before. `tensorboard --logdir
RUN/tensorboard` shows curves, hyperparameters (tab HPARAMS), and the job and the outcomes as texts.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from toprung.results.tracking.tensorboard.event_file import EventFile
from toprung.results.tracking.trial_entries import (
    OUTCOME_TAG,
    PARAM_CHARS,
    REASON_TAG,
    TAG_CHARS,
    end_values,
    epoch_values,
    status_of,
    text_of,
    typed_params_of,
)
from toprung.trainables.system.storage import Storage
from toprung.trainables.system.uris import is_uri

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from toprung.results.tables.rows import Row
    from toprung.results.tracking.search_end import SearchEnd
    from toprung.results.tracking.search_history import SearchFacts
    from toprung.results.tracking.tracking_settings import Tracking
    from toprung.results.tracking.trial_entries import PendingTrialUpdate

SEARCH = "search"
FILE = "events.out.tfevents.toprung"
START_TAG, END_TAG = "_hparams_/session_start_info", "_hparams_/session_end_info"
JOB_TAG, SEARCH_END_TAG = "job", "end of the search"
STATUS = {"FINISHED": "STATUS_SUCCESS", "FAILED": "STATUS_FAILURE", "KILLED": "STATUS_UNKNOWN"}


class TensorboardRuns:
    """The event files of a search."""

    def __init__(self, tracking: Tracking, _: SearchFacts) -> None:
        self._storage, self._search, self._name = Storage.at(tracking.uri), tracking.search, tracking.run
        self._open: dict[str, EventFile] = {}
        self.written: set[str] = set()

    @staticmethod
    def load() -> None:
        """Import what writes the events."""
        importlib.import_module("tensorboardX")

    @staticmethod
    def may_be_silent(tracking: Tracking) -> bool:
        """Whether the folder is an object store's."""
        return is_uri(tracking.uri)

    def begin_search(self) -> None:
        """Nothing: a folder of events is open for more."""

    def write(self, trial_id: str, update: PendingTrialUpdate) -> None:
        """Append what the trial's file lacks. Raises OSError."""
        file = self._file(trial_id)
        tags = {tag for event in file.events for tag in _tags(event)}
        epochs = {event.step for event in file.events if not {START_TAG, END_TAG} & _tags(event)}
        events = []
        if START_TAG not in tags and update.proposal is not None:
            events.append(_start_event(trial_id, update.proposal))
        events += [_epoch_event(row) for epoch, row in sorted(update.epochs.items()) if epoch not in epochs]
        if update.end is not None and not _ends_so(file.events, update.end):
            events.append(_end_event(update.end))
        self._append(trial_id, file, events)
        if update.end is not None:
            del self._open[trial_id]

    def describe_search(self, facts: SearchFacts) -> None:
        """Append the job as a text once, and the best value where it is a new one."""
        if self._search is None:
            return
        file, name = self._file(SEARCH), f"best_{self._search.metric}"
        held = [value for event in file.events for value in event.summary.value]
        events = []
        if JOB_TAG not in {value.tag for value in held}:
            events.append(_event(facts.started_at, 0, [_text(JOB_TAG, f"```\n{self._search.job}```")]))
        last = [value.simple_value for value in held if value.tag == name][-1:]
        if facts.best is not None:
            best = _scalar(name, facts.best.value)
            if last != [best.simple_value]:
                events.append(_event(facts.last_at, facts.epochs, [best]))
        self._append(self._name, file, events)

    def end_search(self, end: SearchEnd) -> None:
        """Append how the search ended, where that is new."""
        file = self._file(SEARCH)
        told = _event(end.ended_at, 0, [_text(SEARCH_END_TAG, f"{end.status} {end.reason}".strip())])
        ends = [event for event in file.events if SEARCH_END_TAG in _tags(event)]
        if ends[-1:] != [told]:
            self._append(self._name, file, [told])

    def _file(self, name: str) -> EventFile:
        if name not in self._open:
            self._open[name] = EventFile(self._storage, f"{name}/{FILE}")
        return self._open[name]

    def _append(self, name: str, file: EventFile, events: list[Any]) -> None:
        if events:
            file.append(events)
            self.written.add(name)


def _start_event(trial_id: str, proposal: Row) -> Any:
    from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData, SessionStartInfo

    at = proposal.get("proposed_at")
    info = SessionStartInfo(group_name=trial_id, start_time_secs=0.0 if at is None else at.timestamp())
    for name, value in typed_params_of(proposal).items():
        kind = "bool" if isinstance(value, bool) else "number" if isinstance(value, int | float) else "string"
        setattr(
            info.hparams[name], f"{kind}_value", value if kind != "string" else text_of(value, PARAM_CHARS)
        )
    return _event(at, 0, [_hparams(START_TAG, HParamsPluginData(session_start_info=info))])


def _epoch_event(row: Row) -> Any:
    return _event(row.get("reported_at"), int(row["epoch"]), _scalars(epoch_values(row)))


def _end_event(end: Row) -> Any:
    from tensorboardX.proto.api_pb2 import Status
    from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData, SessionEndInfo

    at = end.get("ended_at")
    status = Status.Value(STATUS[status_of(end)])
    info = SessionEndInfo(status=status, end_time_secs=0.0 if at is None else at.timestamp())
    texts = [_text(OUTCOME_TAG, str(end["outcome"])), _text(REASON_TAG, str(end.get("reason") or ""))]
    values = [_hparams(END_TAG, HParamsPluginData(session_end_info=info)), *texts]
    return _event(at, int(end.get("last_epoch") or 0), [*values, *_scalars(end_values(end))])


def _ends_so(events: Iterable[Any], end: Row) -> bool:
    """Whether the last end among them is this one."""
    ends = [event for event in events if END_TAG in _tags(event)]
    return ends[-1:] == [_end_event(end)]


def _tags(event: Any) -> set[str]:
    return {value.tag for value in event.summary.value}


def _event(at: datetime | None, step: int, values: Iterable[Any]) -> Any:
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.proto.summary_pb2 import Summary

    return Event(wall_time=0.0 if at is None else at.timestamp(), step=step, summary=Summary(value=values))


def _scalars(values: Mapping[str, float]) -> Iterator[Any]:
    return (_scalar(name, value) for name, value in values.items())


def _scalar(tag: str, value: float) -> Any:
    from tensorboardX.proto.summary_pb2 import Summary

    return Summary.Value(tag=tag, simple_value=value)


def _text(tag: str, text: str) -> Any:
    from tensorboardX.summary import text as text_summary

    value = text_summary(tag, text_of(text, TAG_CHARS)).value[0]
    value.tag = tag
    return value


def _hparams(tag: str, content: Any) -> Any:
    from tensorboardX.proto.summary_pb2 import Summary, SummaryMetadata

    data = SummaryMetadata.PluginData(plugin_name="hparams", content=content.SerializeToString())
    return Summary.Value(tag=tag, metadata=SummaryMetadata(plugin_data=data))
