"""`wtal data doctor | explain | convert | import`."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from wtal_core.commands.output import print_json
from wtal_core.errors import UsageError, counted

if TYPE_CHECKING:
    from wtal_core.data.doctor import Diagnosis, Finding, Severity
    from wtal_core.records import Annotations

__all__ = ["Convert", "Doctor", "Explain", "Import"]


def _splits(texts: Sequence[str]) -> dict[str, tuple[str, ...]]:
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


def _feature_sets(texts: Sequence[str]) -> dict[str, Path]:
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
class _Foreign:
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

    def widths(self) -> tuple[tuple[str, int], ...]:
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

    def options(self, annotations: Annotations | None) -> dict[str, Any]:
        """Return the keyword arguments of `open_features`."""
        from wtal_core.data.features.packed import read_video_names
        from wtal_core.records import Provenance

        widths = self.widths()
        return {
            "grid": self.grid,
            "annotations": annotations,
            "names": read_video_names(self.names) if self.names else None,
            "provenance": Provenance(self.extractor, widths) if self.extractor or widths else None,
            "strip_prefix": self.strip_prefix,
            "lengths": self.lengths,
        }


Foreign = Annotated[_Foreign, tyro.conf.OmitArgPrefixes, tyro.conf.arg(name="feature file")]


# -- doctor -------------------------------------------------------------------------------------------------------

_MARKS = {"error": "error  ", "warning": "warning", "note": "note   "}


@dataclass(frozen=True)
class Doctor:
    """Check a data set before the first epoch: features, lengths, splits, labels, segments, videos.

    Errors make training or evaluation wrong, warnings make numbers doubtful, notes are worth knowing. Exit code 1 if
    there is an error.
    """

    dataset: Annotated[Path | None, tyro.conf.Positional] = None
    """The data set folder (with dataset.yaml). Leave it out and give --annotations to check loose files."""
    annotations: Path | None = None
    """Annotation file or folder, in place of a data set folder."""
    features: tuple[str, ...] = ()
    """Feature files or folders to check against --annotations, each PATH or NAME=PATH."""
    videos: Path | None = None
    """Folder of video files to check against --annotations."""
    splits: tuple[str, ...] = ()
    """Splits of loose annotations, e.g. train=validation test=test. Default: what the subset names usually mean."""
    foreign: Foreign = field(default_factory=_Foreign)
    max: int = 8
    """Lines printed for each kind of finding; 0 prints all."""
    json: bool = False
    """Print all findings as JSON."""

    def run(self) -> int:
        """Print the findings; return 1 if there is an error among them."""
        if (self.dataset is None) == (self.annotations is None):
            raise UsageError(
                "nothing to check" if self.dataset is None else "a data set folder and --annotations are both given",
                expected="either a data set folder, or --annotations with --features",
                next_step="Name one of the two",
            )
        if self.max < 0:
            raise UsageError(
                "--max is out of range",
                expected="a number >= 0",
                got=str(self.max),
                next_step="Give a number of findings; 0 prints all",
            )
        diagnosis = self._dataset() if self.dataset is not None else self._loose()
        if self.json:
            print_json(diagnosis.to_dict())
        else:
            self._print(diagnosis)
        return 0 if diagnosis.healthy else 1

    def _dataset(self) -> Diagnosis:
        from wtal_core.data.doctor import diagnose_dataset

        assert self.dataset is not None
        if self.features or self.videos or self.splits or self.foreign != _Foreign():
            raise UsageError(
                "a data set folder describes itself",
                expected="--features, --videos, --splits and --grid only with --annotations",
                next_step="Edit its dataset.yaml, or leave the folder out",
            )
        return diagnose_dataset(self.dataset, quiet=self.json)

    def _loose(self) -> Diagnosis:
        from wtal_core.data.annotations import scan_annotations
        from wtal_core.data.dataset import VideoFiles, usual_splits
        from wtal_core.data.doctor import Subject, diagnose
        from wtal_core.data.features import FeatureStore, ForeignStore, detect_layout, open_arrays, open_features
        from wtal_core.errors import DataError
        from wtal_core.files import require_folder

        assert self.annotations is not None
        annotations, problems = scan_annotations(self.annotations)
        splits = _splits(self.splits)
        if not splits:
            try:
                splits = usual_splits(annotations)
            except DataError:
                splits = {}
        stores: dict[str, FeatureStore] = {}
        sets = _feature_sets(self.features)
        self.foreign.refuse_unused(sets.values())
        options = self.foreign.options(annotations)
        for name, path in sets.items():
            if self.foreign.grid is None and detect_layout(path) != "native":
                source = open_arrays(path, names=options["names"], lengths=options["lengths"])
                stores[name] = ForeignStore(source, None, options["provenance"], options["strip_prefix"])
            else:
                stores[name] = open_features(path, **options)
        files = VideoFiles(require_folder(self.videos, "a folder of videos")) if self.videos else None
        subject = Subject(annotations, problems, stores, splits, video_files=files)
        return diagnose(subject, quiet=self.json)

    def _print(self, diagnosis: Diagnosis) -> None:
        from rich.console import Console

        from wtal_core.data.doctor import CHECKS

        console = Console(highlight=False, soft_wrap=True)
        groups = diagnosis.groups()
        colours: dict[Severity, str] = {"error": "bold red", "warning": "yellow", "note": "cyan"}
        singular = {"classes": "class"}
        looked = ", ".join(
            counted(count, singular.get(what, what.removesuffix("s")), what)
            for what, count in diagnosis.examined.items()
        )
        console.print(f"examined: {looked}", markup=False)
        if kinds := [f"{check} ({counted(len(found), severity)})" for (severity, check), found in groups.items()]:
            console.print(f"{counted(len(kinds), 'kind')} of finding: {', '.join(kinds)}", markup=False)
        for (severity, check), found in groups.items():
            console.print()
            console.print(
                f"{_MARKS[severity].strip()}: {check} ({len(found):,})", style=colours[severity], markup=False, end=""
            )
            console.print(f" - {CHECKS[check]}", markup=False)
            alike = [[finding] for finding in found] if self.max == 0 else _alike(found)
            shown = alike[: self.max or None]
            steps = {same[0].next_step for same in shown}
            common = len(steps) == 1 and len(found) > 1  # said once, below
            for same in shown:
                step = f". {same[0].next_step}" if same[0].next_step and not common else ""
                console.print(f"  {_places(same)}: {same[0].message}{step}.", markup=False)
            if hidden := sum(len(same) for same in alike[len(shown) :]):
                console.print(f"  ... and {hidden:,} more (--max 0 prints all)", markup=False)
            if common and (step := steps.pop()):
                console.print(f"  -> {step}.", markup=False)
        counts = ", ".join(
            counted(n, word) for word in ("error", "warning", "note") if (n := diagnosis.count(word)) or word == "error"
        )
        console.print()
        verdict = "healthy" if diagnosis.healthy else "not fit for training"
        console.print(f"{verdict}: {counts}", markup=False)


def _alike(found: Iterable[Finding]) -> list[list[Finding]]:
    """Return findings that say the same of several places together, in the order of the first."""
    alike: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in found:
        about = finding.where.rpartition(": ")[0]  # the features or file that the place lies in
        alike.setdefault((about, finding.message, finding.next_step), []).append(finding)
    return list(alike.values())


def _places(same: Sequence[Finding]) -> str:
    """Return where findings that say the same were made: up to three places, and how many more there are."""
    about, separator, first = same[0].where.rpartition(": ")
    names = [first, *(finding.where.rpartition(": ")[2] for finding in same[1:3])]
    more = f" and {len(same) - 3:,} more" if len(same) > 3 else ""
    between = "; " if any("," in name for name in names) else ", "
    return f"{about}{separator}{between.join(names)}{more}" + (", each" if len(same) > 1 else "")


# -- explain ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Explain:
    """Say what a feature, annotation, detection or weight file (or folder) is, and what it does not tell.

    Opens .h5, .npy, .npz, .pkl, .json, .txt, .csv, .pt, .pth, .safetensors and folders; runs no code from them.
    """

    path: Annotated[Path, tyro.conf.Positional]
    """The file or folder."""
    duration: float | None = None
    """Duration of the video in seconds, to find the snippet grid of one video's features."""
    annotations: Path | None = None
    """Annotations that know the durations. Default: annotations.json or gt.json beside the file."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Print the explanation."""
        from rich.console import Console

        from wtal_core.data.explain import explain, facts_as_text

        if self.duration is not None and not self.duration > 0:
            raise UsageError(
                "--duration is out of range",
                expected="seconds > 0",
                got=str(self.duration),
                next_step="Give the video's length in seconds",
            )
        found = explain(self.path, duration=self.duration, annotations=self.annotations)
        if self.json:
            print_json(found.to_dict())
            return 0
        console = Console(highlight=False, soft_wrap=True)
        console.print(f"{self.path}: {found.summary}", markup=False)
        facts = facts_as_text(found)
        width = max(map(len, facts), default=0)
        for name, text in facts.items():
            console.print(f"  {name:<{width}}  {text}", markup=False)
        for text in found.unknown:
            console.print(f"  not told: {text}", markup=False)
        if found.next_step:
            console.print(f"  next: {found.next_step}", markup=False)
        return 0


# -- convert ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Convert:
    """Convert features to the native .h5 file, or annotations and detections to another format.

    An interrupted conversion of features goes on where it stopped when it is run again.
    """

    source: Annotated[Path, tyro.conf.Positional]
    """Features: .h5, .npy, .npz, a folder of them. Annotations or detections: .json, .csv, .txt, a folder."""
    to: Path
    """What to write: NAME.h5 for features; NAME.json, NAME.csv, NAME.txt or (THUMOS14 text annotations) a folder."""
    kind: Literal["auto", "features", "annotations", "detections"] = "auto"
    """What the source is; auto looks."""
    format: Literal["auto", "activitynet", "thumos14", "csv"] = "auto"
    """Format of annotations or detections; auto goes by the ending of --to."""
    dtype: Literal["float16", "float32"] = "float16"
    """Type of features on disk. float16 refuses values beyond 65,504."""
    annotations: Path | None = None
    """Annotations that know durations (seconds) and, for "@native" grids, the videos' frame rates."""
    exclude: tuple[str, ...] = ()
    """Videos whose features to leave out."""
    foreign: Foreign = field(default_factory=_Foreign)
    json: bool = False
    """Print a summary as JSON."""

    def run(self) -> int:
        """Convert and print what was done."""
        kind = self._kind() if self.kind == "auto" else self.kind
        if self.source.exists() and self.to.exists() and self.source.samefile(self.to):
            raise UsageError(
                "source and target are the same", got=str(self.to), where="--to", next_step="Name another file in --to"
            )
        summary = self._features() if kind == "features" else self._table(kind)
        if self.json:
            print_json({"kind": kind, "source": self.source, "to": self.to, **summary})
        else:
            print(f"{self.to}: {', '.join(_counts(summary))}")
            for note in summary["notes"]:
                print(f"note: {note}")
        return 0

    def _kind(self) -> str:
        """Find out what the source is from the target's ending and a look at the source."""
        if self.to.suffix.lower() in (".h5", ".hdf5"):
            return "features"
        from wtal_core.data.explain import explain

        kind = explain(self.source).kind
        if kind in ("annotations", "detections"):
            return kind
        if kind == "features":
            raise UsageError(
                "features are written to the native HDF5 file",
                expected="--to NAME.h5",
                got=str(self.to),
                where="--to",
                next_step="Give the name in --to the ending .h5",
            )
        raise UsageError(
            f"cannot be converted: it is {explain(self.source).summary}",
            expected="features, annotations or detections",
            where=self.source,
            next_step="'wtal weights convert' converts checkpoints; 'wtal data explain' says more about this file",
        )

    def _features(self) -> dict[str, Any]:
        from wtal_core.data.annotations import read_annotations
        from wtal_core.data.features import convert_features, open_features

        if self.to.suffix.lower() not in (".h5", ".hdf5"):
            raise UsageError(
                "features go into an HDF5 file",
                expected="--to NAME.h5",
                got=str(self.to),
                where="--to",
                next_step="Give the name in --to the ending .h5",
            )
        self.foreign.refuse_unused([self.source])
        annotations = read_annotations(self.annotations) if self.annotations else None
        with open_features(self.source, **self.foreign.options(annotations)) as store:
            left = [file.name for file in getattr(getattr(store, "source", None), "unpaired", [])]
            done = convert_features(store, self.to, dtype=self.dtype, exclude=self.exclude, quiet=self.json)
        notes = (
            [f"{counted(len(left), 'file')} without the other of RGB and flow left out: {', '.join(left[:5])}"]
            if left
            else []
        )
        return {
            "written": done.written, "kept": done.kept, "snippets": done.snippets, "bytes": self.to.stat().st_size,
            "notes": notes,
        }  # fmt: skip

    def _table(self, kind: str) -> dict[str, Any]:
        plain = Convert(source=self.source, to=self.to, foreign=_Foreign(strip_prefix=self.foreign.strip_prefix))
        for name in ("dtype", "annotations", "exclude", "foreign"):
            if getattr(self, name) != getattr(plain, name):
                flags = "--grid and the other options of feature files" if name == "foreign" else f"--{name}"
                raise UsageError(
                    f"not for {kind}: {flags}",
                    expected="features to convert",
                    where=self.source,
                    next_step=f"Leave {flags} out",
                )
        form = None if self.format == "auto" else self.format
        prefix = self.foreign.strip_prefix
        if kind == "annotations":
            from wtal_core.data.annotations import read_annotations, write_annotations

            annotations = read_annotations(self.source).renamed_videos(lambda video: video.removeprefix(prefix))
            write_annotations(annotations, self.to, format=form)
            return {
                "videos": len(annotations.videos),
                "instances": len(annotations.instances),
                "ambiguous": len(annotations.ambiguous),
                "classes": len(annotations.classes),
                "notes": list(annotations.notes),
            }
        from wtal_core.data.detections import read_detections, write_detections

        detections = read_detections(self.source).renamed_videos(lambda video: video.removeprefix(prefix))
        write_detections(detections, self.to, format=form)
        return {"detections": len(detections), "videos": len(set(detections.video)), "notes": []}


def _counts(summary: dict[str, Any]) -> list[str]:
    """Return the numbers of a summary with their nouns: "2 videos", "1 class"."""
    nouns = {"videos": "video", "instances": "instance", "detections": "detection", "snippets": "snippet",
             "bytes": "byte"}  # fmt: skip
    return [
        counted(value, "class", "classes") if name == "classes" else counted(value, nouns.get(name, name), name)
        for name, value in summary.items()
        if isinstance(value, int)
    ]


# -- import -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Import:
    """Make a data set folder of annotations, features and videos that you have.

    It gets dataset.yaml, annotations.json, features/*.h5 and videos/. An interrupted import goes on when run again.
    """

    folder: Annotated[Path, tyro.conf.Positional]
    """The folder to make."""
    annotations: Path
    """Annotation file or folder: ActivityNet JSON, THUMOS14 text, W-TALC's npy folder, CSV."""
    features: tuple[str, ...] = ()
    """Feature files or folders, each PATH or NAME=PATH; converted to features/NAME.h5."""
    videos: Path | None = None
    """Folder of video files named <video>.mp4 (or .mkv, .webm, ...); v_<video>.mp4 is found too."""
    name: str | None = None
    """Name of the data set. Default: the folder's name."""
    splits: tuple[str, ...] = ()
    """Which subsets make which split, e.g. train=training test=validation. Default: what the names usually mean."""
    dtype: Literal["float16", "float32"] = "float16"
    """Type of features on disk."""
    reference: bool = False
    """Leave features where they are and name their path in dataset.yaml."""
    copy: bool = False
    """Copy videos instead of linking to them."""
    exclude: tuple[str, ...] = ()
    """Videos whose features to leave out."""
    only_with_features: bool = False
    """Leave annotated videos without features out; otherwise their instances count as missed."""
    foreign: Foreign = field(default_factory=_Foreign)
    json: bool = False
    """Print a summary as JSON."""

    def run(self) -> int:
        """Make the folder and print what is in it."""
        from wtal_core.data.dataset import import_dataset

        if self.foreign.modalities and self.reference:
            raise UsageError(
                "--modalities cannot be stated of features that stay where they are",
                next_step="Leave --reference out, or convert the features first: wtal data convert",
            )
        sets = _feature_sets(self.features)
        self.foreign.refuse_unused(sets.values())
        done = import_dataset(
            self.folder,
            annotations=self.annotations,
            features=sets,
            videos=self.videos,
            name=self.name,
            splits=_splits(self.splits) or None,
            grid=self.foreign.grid or "",
            names=self.foreign.names,
            extractor=self.foreign.extractor,
            modalities=self.foreign.widths(),
            strip_prefix=self.foreign.strip_prefix,
            lengths=self.foreign.lengths,
            dtype=self.dtype,
            reference=self.reference,
            link="copy" if self.copy else "symlink",
            exclude=self.exclude,
            only_with_features=self.only_with_features,
            quiet=self.json,
        )
        dataset = done.dataset
        summary: dict[str, Any] = {
            "folder": self.folder,
            "name": dataset.name,
            "splits": {split: len(dataset.videos(split)) for split in dataset.splits},
            "classes": len(dataset.classes),
            "instances": len(dataset.annotations.instances),
            "features": {f.name: f.path for f in dataset.feature_files},
            "videos": done.videos,
            "videos_missing": done.videos_missing,
            "left_out": done.left_out,
        }
        if self.json:
            print_json(summary)
            return 0
        splits = ", ".join(f"{split} {count:,}" for split, count in summary["splits"].items())
        counts = f"{counted(summary['classes'], 'class', 'classes')}, {counted(summary['instances'], 'instance')}"
        print(f"{self.folder}: {dataset.name}, {counts}, videos: {splits}")
        for name, path in summary["features"].items():
            print(f"  features {name}: {path}")
        if done.left_out:
            print(f"  left out: {counted(done.left_out, 'annotated video')} without features")
        if self.videos is not None:
            how = "copied" if self.copy else "linked"
            print(f"  videos: {done.videos:,} {how}, {done.videos_missing:,} not found in {self.videos}")
        print(f"  next: wtal data doctor {shlex.quote(str(self.folder))}")
        return 0
