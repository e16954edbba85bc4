"""Videos: exact frames, optical flow, static clips, browser copies, backbones and feature extraction."""
