"""The panels of the Explore page: what is looked at, the stack of tracks, post-processing, asking the model again."""
