"""Scoring detections: named protocols, matching, average precision, the match table behind every number.

    evaluation = evaluate(detections, annotations, protocol="thumos14", tiou="0.1:0.7", subset="test")
    evaluation.mean_ap[0.5]
    MatchTable(evaluation).outcome(0.5)   # "tp", "fp" or "dropped" for every detection

What the protocols are, and how ties are broken, is said in `protocols`.
"""

from __future__ import annotations

from wtal_core.evaluation.bootstrap import bootstrap_map, paired_bootstrap
from wtal_core.evaluation.comparison import Comparison, averages, compare_detections, in_percent, mean_and_deviation
from wtal_core.evaluation.curves import PrecisionRecall, ScoreHistogram, precision_recall, score_histogram
from wtal_core.evaluation.diagnosis import Diagnosis, diagnose
from wtal_core.evaluation.evaluator import evaluate
from wtal_core.evaluation.failure_kinds import FALSE_POSITIVE_KINDS, KINDS, MISS_KINDS, DiagnosisSettings
from wtal_core.evaluation.failure_text import describe_failure
from wtal_core.evaluation.ground_truth import GroundTruthIndex
from wtal_core.evaluation.match_table import MatchTable, OverlapPairs, overlap_parts, overlapping_pairs
from wtal_core.evaluation.matching import DROPPED, UNMATCHED
from wtal_core.evaluation.protocols import (
    PROTOCOLS,
    TIOU_PRESETS,
    EvaluationProtocol,
    get_protocol,
    list_protocols,
    parse_tiou,
)
from wtal_core.evaluation.sensitivity import false_positive_profile, missed_share, sensitivity
from wtal_core.evaluation.slices import CHARACTERISTICS, slice_by_instances, slice_by_videos
from wtal_core.evaluation.video_level import VideoLevelScores, video_level_map

__all__ = [
    "CHARACTERISTICS",
    "DROPPED",
    "FALSE_POSITIVE_KINDS",
    "KINDS",
    "MISS_KINDS",
    "PROTOCOLS",
    "TIOU_PRESETS",
    "UNMATCHED",
    "Comparison",
    "Diagnosis",
    "DiagnosisSettings",
    "EvaluationProtocol",
    "GroundTruthIndex",
    "MatchTable",
    "OverlapPairs",
    "PrecisionRecall",
    "ScoreHistogram",
    "VideoLevelScores",
    "averages",
    "bootstrap_map",
    "compare_detections",
    "describe_failure",
    "diagnose",
    "evaluate",
    "false_positive_profile",
    "get_protocol",
    "in_percent",
    "list_protocols",
    "mean_and_deviation",
    "missed_share",
    "overlap_parts",
    "overlapping_pairs",
    "paired_bootstrap",
    "parse_tiou",
    "precision_recall",
    "score_histogram",
    "sensitivity",
    "slice_by_instances",
    "slice_by_videos",
    "video_level_map",
]
