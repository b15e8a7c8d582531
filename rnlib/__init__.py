"""Relation Networks on CLEVR: data, models, training, evaluation, retrieval.

Data flows one way through the packages, so the folder listing is the map:

    synthesis -> clevr -> model -> training -> evaluation -> retrieval
    (makes)      (reads)                                     widgets and runs stand on all

`python -m rnlib --help` lists the commands; the notebooks are what people read.
"""

__version__ = "0.1.0"
