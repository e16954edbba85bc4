"""Facts about THUMOS14 as data: official class ids and the videos whose annotation is known to be wrong."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from wtal_core.records import Annotations

__all__ = ["FAULTY_VIDEOS", "THUMOS14_CLASS_IDS", "exclude_faulty"]

#: Class -> official id (UCF-101 numbering) of the 20 classes of the THUMOS14 temporal detection task, in alphabetical
#: order. Source: `detclasslist.txt` of the THUMOS14 evaluation kit (http://crcv.ucf.edu/THUMOS14/); the same ids are
#: printed in CMCS's and STPN's result files.
THUMOS14_CLASS_IDS: dict[str, int] = {
    "BaseballPitch": 7,
    "BasketballDunk": 9,
    "Billiards": 12,
    "CleanAndJerk": 21,
    "CliffDiving": 22,
    "CricketBowling": 23,
    "CricketShot": 24,
    "Diving": 26,
    "FrisbeeCatch": 31,
    "GolfSwing": 33,
    "HammerThrow": 36,
    "HighJump": 40,
    "JavelinThrow": 45,
    "LongJump": 51,
    "PoleVault": 68,
    "Shotput": 79,
    "SoccerPenalty": 85,
    "TennisSwing": 92,
    "ThrowDiscus": 93,
    "VolleyballSpiking": 97,
}

#: Test video -> why its ground truth cannot be used. Sources: the avoid lists of the annotation release
#: (`test_avoid_videos.txt`), ACM-Net's `split_test.txt` (leaves out the first two), and a comparison of the official
#: text files, their meta data and W-TALC's and ACM-Net's conversions.
FAULTY_VIDEOS: dict[str, str] = {
    "video_test_0000270": (
        "the file shows a haircut (176 s), its 29 HammerThrow instances run to 713.7 s and belong to another video"
    ),
    "video_test_0001496": "the meta data call it FrisbeeCatch, its instances are 18 CricketShot and 9 Ambiguous",
    "video_test_0001292": "it has only Ambiguous segments: no instance, so 212 and not 213 test videos are annotated",
}


def exclude_faulty(annotations: Annotations, videos: Collection[str] = tuple(FAULTY_VIDEOS)) -> Annotations:
    """Return the annotations without the known faulty videos of THUMOS14 and their ground truth.

    Published numbers keep these videos in the ground truth (their instances count as missed), so this changes every
    mAP of the classes concerned; a note records it.

    Args:
        annotations: any data set; those without such videos come back unchanged.
        videos: which videos to leave out.
    """
    dropped = [video for video in annotations.videos if video in videos]
    if not dropped:
        return annotations
    kept = annotations.only(video for video in annotations.videos if video not in videos)
    return replace(kept, notes=(*annotations.notes, f"known faulty videos left out: {', '.join(dropped)}"))
