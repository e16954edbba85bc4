"""The demo world: a small universe of rendered sport videos whose truth is known to the frame.

Anyone may ship, watch and learn from these videos. `skeleton` and `motion` move athletes, `stage` and `actors`
draw them, `scenes` hold one sport each, `script` decides what happens in a video and knows the truth,
`render` turns a script into an H.264 file and `sheet` shows a whole class on one picture.
"""
