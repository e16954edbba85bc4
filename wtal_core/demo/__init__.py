"""The demo world: a small universe of rendered sport videos whose truth is known to the frame.

Anyone may ship, watch and learn from these videos. `skeleton` and `motion` move athletes, `stage` and `actors` draw
them, `scenes` hold one sport each, `script` decides what happens in a video and knows the truth, `render` turns a
script into an H.264 file and `sheet` shows a whole class on one picture. `builder` makes a data set of a world and
trains every method and variant of `recipes` on it, `shipping` packs it, `measures` and `report` say what the methods
get right; `real` makes data sets of real clips, `planted` features without videos.
"""
