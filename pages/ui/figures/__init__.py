"""The parts of the Figures page."""
