"""CLEVR files in, arrays out: the v1.0 layout and the public generator's variant of it."""

from rnlib.clevr.check import check_directory
from rnlib.clevr.layout import ClevrDirectory
from rnlib.clevr.split import Split, open_split
from rnlib.clevr.unknown_words import open_known, open_training_splits
from rnlib.clevr.vocabulary import Vocabulary, choose_vocabulary, clevr_v1, detokenize, tokenize
