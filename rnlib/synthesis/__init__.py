"""Synthetic CLEVR in the exact file layout of CLEVR v1.0.

camera          the camera and the lamps, and where in the picture a point is seen
scenes          objects on a table: positions, spatial relations, margins
visibility      how many pixels show each object
editing         a scene with other objects, and which rules it breaks
pictures        scenes -> pictures
tracing         one picture, by ray casting
geometry        the objects of a scene as an array, and how rays meet them
light           lamps, sun and shadows
shading         what ground, rubber and metal send to the camera
canvas          from light to the bytes of a picture
camera_fit      the camera of any scene file, from where its objects are: how it is drawn again
families        the 90 question families
answer_balance  how often each family is asked, with which answer
candidates      the sets of objects in a scene that words can describe
logical_form    what a question is about, as data, and the program it makes
templates       the sentences of each family
realization     a question in words
parsing         a question in words back to its logical form
truth           the true answer to a question in words, step by step
questions       a scene -> questions with programs and answers
contrast        the same question from another object, with another answer
minimal_pairs   two scenes that differ in one thing, and a question that tells them apart
execution       runs a program on a scene (independent of how questions are made)
settings        what decides the bytes of a set
chunks          a few scenes with their questions: the unit of work
image_writer    where the pictures of a split go: PNG files or one array
generate        all of that, for thousands of scenes, into a directory
"""

from rnlib.synthesis.execution import execute
from rnlib.synthesis.generate import synthesize
from rnlib.synthesis.settings import parse_images
