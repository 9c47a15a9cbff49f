"""The export formats by their names; a new one is a class and its line here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toprung.search.export.litert_target import LiteRtTarget
from toprung.search.export.onnx_target import OnnxTarget
from toprung.search.export.openvino_target import OpenVinoTarget
from toprung.search.export.saved_model_target import SavedModelTarget

if TYPE_CHECKING:
    from toprung.search.export.target import Target

TARGETS: dict[str, Target] = {
    target.name: target for target in (SavedModelTarget(), OnnxTarget(), LiteRtTarget(), OpenVinoTarget())
}
