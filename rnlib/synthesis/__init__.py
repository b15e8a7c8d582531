"""Synthetic CLEVR in the exact file layout of CLEVR v1.0: what stands in for the download.

camera.py     where the camera and the lamps stand, and where on the picture a point is seen
scenes.py     objects on a table, seen by a camera: who stands where, what is left of what
visibility.py how many pixels show each object
pictures.py   scenes -> the pictures that their cameras take
tracing.py    picture by picture, by ray casting
bodies.py     the objects of a scene as an array, and how rays meet them
light.py      lamps, sun and shadows
surfaces.py   what ground, rubber and metal send to the camera
canvas.py     from light to the bytes of a picture
replay.py     any scene file drawn again: how faithful the pictures are
families.py   the 90 question families: what each asks, of what
answers.py    how often each family is asked, with which answer
sets.py       the sets of objects in a scene that words can describe
terms.py      what a question speaks of, as data, and the program it makes
sentences.py  the forms of sentence of each family
wording.py    a question in words
questions.py  a scene -> questions with programs and answers, by question family
programs.py   runs a program on a scene (knows nothing of how questions are made)
settings.py   what decides the bytes of a set
chunks.py     a few scenes with their questions: the unit of work
gallery.py    where the pictures of a split go: PNG files or one array
write.py      all of that, for thousands of scenes, into a directory
"""

from rnlib.synthesis.programs import execute
from rnlib.synthesis.settings import parse_images
from rnlib.synthesis.write import synthesize

__all__ = ["execute", "parse_images", "synthesize"]
