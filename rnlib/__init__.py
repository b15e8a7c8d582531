"""Relation Networks on CLEVR: data, models, training, evaluation, retrieval.

Data flows one way through the packages, so the folder listing is the map:

    clevr -> synthesis, model -> evaluation -> training, retrieval -> runs, widgets, commands
    (reads)  (makes)

`rnlib --help` lists the commands; the notebooks are what people read.
"""

__version__ = "0.1.0"
