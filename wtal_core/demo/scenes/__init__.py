"""The scenes of the demo world."""
