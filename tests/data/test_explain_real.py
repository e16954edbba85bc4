"""What is this file? The answers on the published files themselves; files of their shapes: test_explain.py."""

from __future__ import annotations

import json
from pathlib import Path

from wtal_core.data.explain import explain, to_text

REAL: list[tuple[str, str, list[str]]] = [
    ("bmt_long_jump_i3d/women_long_jump_rgb.npy", "features",
     ["14 snippets of 1,024 channels", "float32", "I3D", "RGB by its file name", "i3d-25fps-64",
      "first snippet: 0 - 2.56 s", "last snippet: 33.28 - 35.84 s", "35.08 s"]),
    ("bmt_long_jump_i3d/women_long_jump_flow.npy", "features", ["flow by its file name", "i3d-25fps-64"]),
    ("bmt_long_jump_i3d/women_long_jump_vggish.npy", "features", ["36 snippets of 128", "VGGish", "33.6 - 34.56 s"]),
    ("bmt_long_jump_i3d", "features", ["rgb (1024), flow (1024)", "vggish.npy", "i3d-25fps-64", "channels: 2,048"]),
    ("bmt_long_jump_i3d/annotations.json", "annotations", ["2 instances of 1 class in 1 of 1 video", "LongJump"]),
    ("wtalc_thumos14_annotations", "annotations",
     ["6,365 instances of 20 classes", "validation 200, test 212", "validation 3,007, test 3,358", "W-TALC"]),
    ("wtalc_thumos14_annotations/videoname.npy", "names", ["412 THUMOS14 video ids", "validation 200, test 212"]),
    ("wtalc_thumos14_annotations/classlist.npy", "names", ["20 class names of THUMOS14", "VolleyballSpiking"]),
    ("wtalc_thumos14_annotations/subset.npy", "names", ["validation 200, test 212"]),
    ("wtalc_thumos14_annotations/duration.npy", "numbers", ["412 numbers", "seconds", "max 1673"]),
    ("wtalc_thumos14_annotations/original_fps.npy", "numbers", ["frame rate of each video", "min 24", "max 30"]),
    ("wtalc_thumos14_annotations/extracted_fps.npy", "numbers", ["known to be wrong", "do not use"]),
    ("wtalc_thumos14_annotations/labels.npy", "labels", ["6,365 class names of 412 videos", "empty: 0"]),
    ("wtalc_thumos14_annotations/labels_all.npy", "labels", ["463 class names of 412 videos", "empty: 1"]),
    ("wtalc_thumos14_annotations/segments.npy", "segments", ["6,365 segments of 412 videos"]),
    ("wtalc_thumos14_annotations/Ambiguous_test.txt", "segments", ["99 Ambiguous intervals in 37 videos"]),
    ("acmnet_thumos14_annotations/gt.json", "annotations", ["6,365 instances", "in 412 of 412 videos", "duration 1"]),
    ("acmnet_thumos14_annotations/split_test.txt", "names", ["210 THUMOS14 video ids", "test 210"]),
    ("activitynet12_annotations/activity_net.v1-2.min-missing-removed.json", "annotations",
     ["100 classes", "videos: 8,907", "training 4,441", "validation 2,198", "testing 2,268"]),
    ("activitynet13_annotations/anet_anno_action.json", "annotations",
     ["22,152 instances of 200 classes", "videos: 19,228", "flat"]),
    ("activitynet13_annotations/video_info_new.csv", "table", ["BMN's video table", "19228 videos", "training 9,649"]),
    ("activitynet13_annotations/action_name.csv", "names", ["200 names", "Applying sunscreen"]),
    ("activitynet13_annotations/sample_detection_prediction.json", "detections", ["7,654 detections of 200 classes"]),
    ("activitynet13_annotations/sample_classification_prediction.json", "video scores", ["4,926 videos, 200 classes"]),
    ("autoloc_thumos14_detections/thumos14_detections.json", "detections", ["20,763 detections of 20 classes in 213"]),
    ("autoloc_thumos14_detections/thumos14_gt.json", "annotations", ["3,234 instances", "210 of 210 videos"]),
    ("stpn_thumos14_detections/results.json", "detections", ["9,151 detections", "scores: -23.35 to 31.24"]),
    ("stpn_thumos14_detections/results.txt", "detections", ["9,151 detections of 20 classes"]),
    ("stpn_thumos14_detections/gt.json", "annotations", ["3,311 instances", "duration of 210 videos"]),
    ("stpn_thumos14_detections/train_labels.npy", "labels", ["200 videos x 20 classes", "labels per row: 1 to 2"]),
    ("stpn_thumos14_detections/THUMOS14_test_vid_list.txt", "names", ["210 THUMOS14 video ids"]),
    ("thumos14_official_txt", "annotations", ["6,365 instances of 20 classes in 412 of 413 videos", "intervals: 188"]),
    ("thumos14_official_txt/temporal_annotations_test", "annotations", ["3,358 instances", "intervals: 99"]),
    ("thumos14_official_txt/temporal_annotations_test/Diving_test.txt", "segments", ["388 segments of Diving in 26"]),
    ("thumos14_official_txt/test_durations.txt", "numbers", ["durations of 1574 videos"]),
    ("thumos14_official_txt/test_avoid_videos.txt", "names", ["avoid list: 14 pairs"]),
    ("thumos14_unet_scores/uNet_test.npy", "video scores",
     ["1,574 THUMOS14 test videos", "not snippet features", "class id - 1", "2 softmaxes", "1,574, 101",
      "VolleyballSpiking 96"]),
    ("thumos14_unet_scores/thumos_gt.json", "annotations", ["6,318 instances", "test 210, train 200"]),
    ("thumos14_unet_scores/test_Annotation.csv", "annotations", ["3,358 instances of 20 classes", "intervals: 99"]),
    ("i3d_rgb_kinetics400/i3d_rgb_kinetics400.npz", "weights",
     ["I3D", "RGB (3 input channels)", "arrays: 230", "classes: 400", "parameters: 12,704,544"]),
    ("i3d_rgb_kinetics400/K400_label_map.txt", "names", ["400 names", "abseiling"]),
    ("i3d_rgb_kinetics400", "folder", ["weights of I3D", "400 names"]),
    ("thumos14_unet_scores", "folder", ["uNet_test.npy: video-level class scores"]),
    ("real_clips/mmaction2_demo.mp4", "video", ["a video file"]),
]  # fmt: skip


def test_real_files(shared: Path) -> None:
    wrong = {}
    for name, kind, expected in REAL:
        found = explain(shared / "data" / name)
        text = "\n".join([found.summary, *(f"{k}: {to_text(v)}" for k, v in found.facts.items()), *found.unknown])
        json.dumps(found.to_dict())
        missing = [part for part in expected if part not in text]
        if missing or found.kind != kind:
            wrong[name] = (found.kind, missing)
    assert not wrong
