"""What follows from stored activations and detections: live post-processing, explanations, failures."""
