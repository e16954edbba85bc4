"""`python -m tests.golden.compact [FOLDER]`: write `numbers/*.npz` from the big golden files.

FOLDER holds the files that the official modules made (default: `../shared/golden`). What is kept of each, and what
was changed, stands in `numbers/README.md`.
"""

from __future__ import annotations

import io
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tests.conftest import shared_folder
from tests.golden.fixtures import NUMBERS, draw
from wtal_core.arrays import Array

__all__ = ["MAKERS", "compact"]

Arrays = Mapping[str, Array]

STEP = 11
"""Of sampled arrays: no size of an axis divides by it, so that every class, channel and time has its turn."""

HAMNET_DRAWS = {  # place in the stream of seed 0, factor of the official weights
    "sd/net.classifier.0.weight": (912_342, 1),
    "sd/net.classifier.2.weight": (924_630, 1),
    "sd/net.classifier.5.weight": (936_918, 3),
    "sd/net.attention.0.weight": (938_262, 1),
    "sd/net.attention.2.weight": (1_036_566, 1),
    "sd/net.attention.4.weight": (1_822_998, 4),
}


def hamnet(big: Arrays) -> dict[str, Array]:
    """Keep all but what is there twice; weights are named by their place in the random stream."""
    assert np.array_equal(big["eval_logits_attended"], big["train_logits_soft"])
    kept = {
        key: values
        for key, values in big.items()
        if not key.startswith("sample_uniform") and key != "eval_logits_attended" and key not in HAMNET_DRAWS
    }
    for key, (place, factor) in HAMNET_DRAWS.items():
        shape = big[key].shape
        assert np.array_equal(draw(0, place, factor, shape), big[key]), key
        kept[f"{key}@draw"] = np.array([0, place, factor, *shape])
    return kept


def deep_metric(big: Arrays) -> dict[str, Array]:
    """Sample the outputs of the whole batch."""
    return {key: values for key, values in big.items() if key not in METRIC_OUTPUTS} | _sampled(big, METRIC_OUTPUTS)


METRIC_OUTPUTS = ("eval_embedding", "eval_logits", *(f"vid{v}_logits" for v in range(2)))


def acmnet(big: Arrays) -> dict[str, Array]:
    """Keep one copy of the weights; sample large gradients and maps; of the trained network keep what it put out."""
    kept: dict[str, Array] = {}
    for key, values in big.items():
        tag, _, name = key.partition("/")
        if tag == "tr256" and name not in TRAINED_OUTPUTS and not name.startswith(("det_", "proposals_")):
            continue
        if name.startswith("sd/") and tag != "thu64":
            first = f"thu64/{name}".replace("feature_embedding.1", "feature_embedding.0")
            assert np.array_equal(values, big[first]), key
            continue
        large = tag in ("thu64", "act64", "short64") and not name.startswith("sd/")
        if large and values.size > 2000 and name not in ("x", "logits"):
            kept |= _sampled(big, [key])
        else:
            kept[key] = values
    return kept


TRAINED_OUTPUTS = ("att", "inst_cas", "inst_cls", "t_factor")


def evaluation(big: Arrays) -> dict[str, Array]:
    """Stretch and shift each video's times and drop the names: no IoU sees it, and no one's annotations lie here."""
    rng = np.random.default_rng(14)
    kept = {k: v for k, v in big.items() if not k.endswith("_seg") and k not in ("videos", "class_names", "class_ids")}
    for kind in ("gt", "amb", "det"):
        assert np.allclose(np.rint(100 * big[f"{kind}_seg"]) / 100, big[f"{kind}_seg"], rtol=0, atol=1e-9)
        kept[f"{kind}_ms"] = np.zeros(big[f"{kind}_seg"].shape, np.int32)
    for video in range(len(big["videos"])):
        rows = {kind: big[f"{kind}_video"] == video for kind in ("gt", "amb", "det")}
        official = {kind: big[f"{kind}_seg"][chosen] for kind, chosen in rows.items()}
        same_class = big["det_class"][rows["det"], None] == big["gt_class"][rows["gt"]]
        verdicts = _verdicts(official, same_class, big["iou"])
        while True:  # some IoUs are equal or lie on a threshold: take a stretch under which rounding keeps their order
            stretch, shift = rng.integers(3, 10), rng.integers(0, 60_000)
            moved = {kind: np.rint(100 * times).astype(np.int32) * stretch + shift for kind, times in official.items()}
            seconds = {kind: ms / 1000 for kind, ms in moved.items()}
            if np.array_equal(verdicts, _verdicts(seconds, same_class, big["iou"])):
                break
        for kind, chosen in rows.items():
            kept[f"{kind}_ms"][chosen] = moved[kind]
    return kept


def _verdicts(times: Arrays, same_class: Array, levels: Array) -> Array:
    """Return all that an evaluator reads from a video's IoUs: above or at a level or not, their order, any overlap."""

    def iou(other: str) -> Array:
        a, b = times["det"][:, None], times[other][None]
        inside = np.minimum(a[..., 1], b[..., 1]) - np.maximum(a[..., 0], b[..., 0])
        hull = np.maximum(a[..., 1], b[..., 1]) - np.minimum(a[..., 0], b[..., 0])
        return np.maximum(inside, 0) / hull

    truth = np.where(same_class, iou("gt"), 0)
    ranks = [np.unique(row, return_inverse=True)[1] for row in (*truth, *truth.T)]
    levelled = truth[..., None]
    return np.concatenate(list(map(np.ravel, (iou("amb") > 0, levelled > levels, levelled >= levels, *ranks))))


def cola(big: Arrays) -> dict[str, Array]:
    """Sample what large arrays come out; leave out the widest network, the longest video, and NMS with other ties."""
    kept: dict[str, Array] = {}
    for key, values in big.items():
        tag, _, name = key.partition("/")
        if tag in ("wide", "vid900") or name.split("_")[-1] in ("raised", "fallback", "classes", "det"):
            continue
        if name == "nms0.4_proposals":
            assert np.array_equal(values, big[f"{tag}/ct0.2_proposals"])
            continue
        kept |= _sampled(big, [key]) if values.size > 1000 and not _stays(tag, name) else {key: values}
    return _packed(kept)


def co2net(big: Arrays) -> dict[str, Array]:
    """Sample what comes out; leave out weights that are not used, the longest video, and what follows from the rest."""
    return _packed(_two_streams(big))


def _two_streams(big: Arrays) -> dict[str, Array]:
    kept: dict[str, Array] = {}
    for key, values in big.items():
        tag, _, name = key.partition("/")
        unused = ("sd/feat_encoder.0.weight", "feat_video0")
        if tag == "vid3" or name in unused or "gradnorm" in name or name.endswith("S320"):
            continue
        if name.endswith("_longer1"):  # the same detections, without those of one snippet
            every = big[key.removesuffix("_longer1")]
            assert np.array_equal(values, every[every[:, 1] - every[:, 0] > 1])
            continue
        large = (values.size > 250 and (tag in ("thu", "act") or name == "act_cas")) or values.size > 2000
        kept |= _sampled(big, [key]) if large and not _stays(tag, name) else {key: values}
    return kept


def delu(big: Arrays) -> dict[str, Array]:
    """Leave out what CO2-Net's numbers hold already: its network, dropouts, batches, and a second long video."""
    again = ("drop_", "feat@", "channel", "local", "filtered", "attention_unpooled")
    return _packed(
        {
            key: values
            for key, values in _two_streams(big).items()
            if not key.startswith(("thu/keep/", "vid1/", "sample/", "batch/", "cmap", "pp_T", "pp_amb"))
            and not key.split("/")[-1].startswith(again)
        }
    )


def _stays(tag: str, name: str) -> bool:
    """Whether an array of a later method stays whole: what a network or localization begins with, and detections."""
    cas = tag.startswith("vid") and name in ("cas", "thu_cas")
    return cas or name == "x" or name.startswith(("sd/", "keep/")) or name.endswith(("_keep", "_det", "_det_stable"))


def whole(big: Arrays) -> dict[str, Array]:
    """Keep everything."""
    return dict(big)


MAKERS: dict[str, tuple[str, Callable[[Arrays], dict[str, Array]]]] = {
    "acmnet": ("acm_golden.npz", acmnet),
    "acn": ("acn.npz", whole),
    "cmcs": ("cmcs_random.npz", whole),
    "co2net": ("co2net.npz", co2net),
    "cola": ("cola.npz", cola),
    "deep_metric": ("metric.npz", deep_metric),
    "delu": ("delu.npz", delu),
    "evaluation": ("eval_golden.npz", evaluation),
    "hamnet": ("hamnet.npz", hamnet),
}
"""Compact file -> big file and what makes the one of the other."""


def compact(folder: Path, name: str) -> dict[str, Array]:
    """Return the members of `numbers/<name>.npz` from the big file in `folder`."""
    source, make = MAKERS[name]
    with np.load(folder / source, allow_pickle=False) as file:
        return make({key: file[key] for key in file.files})


def _sampled(big: Arrays, keys: Any) -> dict[str, Array]:
    return {f"{key}@{STEP}:{'x'.join(map(str, big[key].shape))}": big[key].ravel()[::STEP] for key in keys}


def _packed(arrays: Arrays) -> dict[str, Array]:
    """Join small arrays to one: a member of a zip file weighs more than they do."""
    small = {key: values for key, values in arrays.items() if values.size <= 200}
    joined = np.concatenate([values.ravel().astype(np.float64) for values in small.values()])
    names = [f"{key}|{values.dtype}|{'x'.join(map(str, values.shape))}" for key, values in small.items()]
    left = {key: values for key, values in arrays.items() if key not in small}
    return {**left, "names@packed": np.array(names), "values@packed": joined}


def _write(path: Path, arrays: Arrays) -> None:
    """Write an `.npz` that is the same bytes every time, packed as tightly as zip can."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for key, values in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.asarray(values, order="C"), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{key}.npy"), member.getvalue(), zipfile.ZIP_DEFLATED, 9)


def main(arguments: list[str]) -> int:
    """Write all files and print their sizes."""
    shared = shared_folder()
    if len(arguments) > 1 or not (arguments or shared):
        print(__doc__, file=sys.stderr)
        return 2
    folder = Path(arguments[0]) if arguments else Path(str(shared)) / "golden"
    for name in MAKERS:
        path = NUMBERS / f"{name}.npz"
        _write(path, compact(folder, name))
        print(f"{path.name:18} {path.stat().st_size:>9,} bytes")
    print(f"{'in all':18} {sum(p.stat().st_size for p in NUMBERS.glob('*.npz')):>9,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
