"""The Textual front end."""

import os

# A key that is pressed just after a frame waits for the next: at Textual's 60 a second that is half of what it takes to be seen.
# There are no more frames for it: what grows is laid out a few times a second (`transcript.py`).
os.environ.setdefault("TEXTUAL_FPS", "240")
