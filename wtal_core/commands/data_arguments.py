"""Arguments that several `wtal data` commands share: splits, sets of features, and what foreign features do not say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from wtal_core.errors import UsageError

if TYPE_CHECKING:
    from wtal_core.data.features import FeatureFacts

__all__ = ["Foreign", "ForeignFeatures", "parse_feature_sets", "parse_splits"]


def parse_splits(texts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Parse `train=training test=validation,testing`."""
    splits: dict[str, tuple[str, ...]] = {}
    for text in texts:
        name, equals, subsets = text.partition("=")
        if not equals or not name or not all(subsets.split(",")):
            raise UsageError(
                "is not a split",
                expected="NAME=SUBSET[,SUBSET...], e.g. train=validation",
                got=repr(text),
                where="--splits",
                next_step="Write the split's name, '=' and the subsets it takes",
            )
        splits[name] = tuple(subsets.split(","))
    return splits


def parse_feature_sets(texts: Sequence[str]) -> dict[str, Path]:
    """Parse `i3d=PATH` or `PATH`, which is called after its file name."""
    sets: dict[str, Path] = {}
    for text in texts:
        name, equals, path = text.partition("=")
        if not equals or "/" in name:
            name, path = Path(text).stem, text
        if not name or not path:
            raise UsageError(
                "is not a set of features",
                expected="PATH or NAME=PATH",
                got=repr(text),
                where="--features",
                next_step="Write a path, or a name, '=' and a path",
            )
        if name in sets:
            raise UsageError(
                f"two sets of features are called {name!r}",
                expected="NAME=PATH with different names",
                where="--features",
                next_step="Give one of them another name",
            )
        sets[name] = Path(path)
    return sets


@dataclass(frozen=True)
class ForeignFeatures:
    """What feature files of other projects do not say about themselves."""

    grid: str | None = None
    """Where snippets lie in time, for files that do not say it: i3d-25fps-16 (16 frames at 25 fps), i3d-30fps-16,
    i3d-25fps-64, unt-25fps-15, unt-30fps-15, or STRIDE/WINDOW@FPS in frames and frames a second ("4/16@native" takes
    each video's own rate from the annotations). Never guessed; "wtal data explain" says what fits."""
    names: Path | None = None
    """Video ids of a packed .npy, in order: videoname.npy or a text file, one id a line. Default: beside the file."""
    extractor: str = ""
    """What made the features, e.g. i3d-kinetics400; written into the file as provenance."""
    modalities: tuple[str, ...] = ()
    """Streams in channel order with their widths, e.g. rgb:1024 flow:1024. Default: what the files tell."""
    strip_prefix: str = ""
    """Text taken off the front of the video ids, e.g. v_ (ActivityNet)."""
    lengths: Literal["same", "trim"] = "same"
    """What to do where RGB and flow differ in length: same = refuse, trim = cut both to the shorter one."""

    def refuse_unused(self, sources: Iterable[Path]) -> None:
        """Refuse what none of the feature files takes: nothing stated is passed over in silence."""
        from wtal_core.data.features import FEATURE_LAYOUTS, detect_layout

        layouts = {detect_layout(source) for source in sources}
        takers = {"names": {"packed"}, "lengths": {"rgb-flow"}}
        for item in fields(self):
            foreign = takers.get(item.name, set(FEATURE_LAYOUTS) - {"native"})
            if getattr(self, item.name) != item.default and not layouts & foreign:
                flag = f"--{item.name.replace('_', '-')}"
                raise UsageError(
                    f"{flag} has nothing to say it of",
                    expected=f"features of the kind {' or '.join(sorted(foreign))}",
                    got=" and ".join(sorted(layouts)) or "no features",
                    next_step=f"Leave {flag} out" + ("; native files state it themselves" if layouts else ""),
                )

    def _widths(self) -> tuple[tuple[str, int], ...]:
        """Return the stated streams with their numbers of channels."""
        widths = []
        for text in self.modalities:
            name, colon, width = text.partition(":")
            if not colon or not name or not width.isdecimal() or int(width) == 0:
                raise UsageError(
                    "is not a stream",
                    expected="NAME:CHANNELS, e.g. rgb:1024",
                    got=repr(text),
                    where="--modalities",
                    next_step="Name the streams in the order their channels are stored",
                )
            widths.append((name, int(width)))
        return tuple(widths)

    def facts(self) -> FeatureFacts:
        """Return what is stated, as it is given to the readers."""
        from wtal_core.data.features import FeatureFacts

        return FeatureFacts(
            self.grid or "", self.names, self.extractor, self._widths(), self.strip_prefix, self.lengths
        )


Foreign = Annotated[ForeignFeatures, tyro.conf.OmitArgPrefixes, tyro.conf.arg(name="feature file")]
