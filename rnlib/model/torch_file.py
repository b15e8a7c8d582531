"""Files of torch.save, read without running what is in them."""

import pickle
from pathlib import Path
from typing import Any

import torch

from rnlib.errors import reason
from rnlib.files import open_input


def read_torch_file(path: Path | str) -> Any:
    """What torch.save wrote, if it is tensors and plain values. Raises ValueError with the reason where it is not."""
    with open_input(path) as file:
        try:
            return torch.load(file, map_location="cpu", weights_only=True)
        except MemoryError:
            raise
        except (pickle.UnpicklingError, EOFError):  # torch's message advises to run what is in the file
            problem = "it is cut short, or of another kind"
        except Exception as error:  # broken bytes can lead the unpickler to any exception of Python's
            problem = reason(error)
    raise ValueError(problem)
