"""Synthetic CLEVR in the exact file layout of CLEVR v1.0: what the demo and the tests learn from.

scenes.py     objects on a table, seen by a camera: who stands where, what is left of what
pictures.py   a scene -> the picture that the camera takes
questions.py  a scene -> questions with programs and answers, by question family
programs.py   runs a program on a scene (knows nothing of how questions are made)
write.py      all of that, for thousands of scenes, into a directory
"""

from rnlib.synthesis.programs import execute
from rnlib.synthesis.write import synthesize

__all__ = ["execute", "synthesize"]
