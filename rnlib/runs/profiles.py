"""Profiles: params/<profile>/<notebook>.yaml, the values that differ from a notebook's defaults.

The files are plain papermill parameter files, so `papermill -f` reads them too. A notebook that a profile changes
nothing of needs none.
"""

from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from rnlib.errors import ConfigError, reason
from rnlib.files import read_bytes
from rnlib.runs.paths import notebook_name, notebook_names, project_root


def profiles() -> list[str]:
    """Names of the profiles: the folders in params/."""
    return sorted(path.name for path in (project_root() / "params").iterdir() if path.is_dir())


def profile_parameters(profile: str, notebook: str) -> dict[str, Any]:
    """What a profile sets for a notebook. One without a file gets the CLEVR directory that others name, if any.

    Raises ConfigError for an unknown profile, for a file whose name is no notebook's, and
    for a file that is not a YAML mapping from names to values.
    """
    known = profiles()
    if profile not in known:
        hint = "".join(f" Did you mean {name!r}?" for name in get_close_matches(profile, known, 1))
        raise ConfigError(
            f"expected the name of a profile (a folder in params/), found {profile!r}.{hint} "
            f"The profiles are: {', '.join(known) or '(none)'}."
        )
    folder = project_root() / "params" / profile
    stray = sorted({path.stem for path in folder.glob("*.yaml")} - set(notebook_names()))
    if stray:
        raise ConfigError(
            f"expected the files in params/{profile}/ to be named after notebooks, found {stray[0]}.yaml. "
            f"Rename or remove it. The notebooks are: {', '.join(notebook_names())}."
        )
    path = folder / f"{notebook_name(notebook)}.yaml"
    if path.exists():
        return read_yaml(path)
    named = (read_yaml(other).get("clevr") for other in sorted(folder.glob("*.yaml")))
    clevr = next(filter(None, named), None)
    return {"clevr": clevr} if clevr else {}


class _Loader(yaml.SafeLoader):
    """YAML in which no mapping names a thing twice: the second would replace the first without a word."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        names: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in names:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} is given twice", key.start_mark)
            names.add(key.value)
        return node


def load_yaml(content: bytes | str) -> Any:
    """What YAML text says. Raises yaml.YAMLError, ValueError or RecursionError for what is none."""
    return yaml.load(content, Loader=_Loader)


def read_yaml(path: Path) -> dict[str, Any]:
    """The values of a file of parameters. ConfigError where it cannot be read, or is not a YAML mapping from names."""
    content = read_bytes(path, ConfigError)
    try:
        values = load_yaml(content)
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:  # ValueError: as 2024-99-99
        problem = " ".join(str(error).split()) or reason(error)
        raise ConfigError(f"{path} is not valid YAML: {problem}. Correct the file.") from None
    if values is None:  # an empty file, or one of comments only
        return {}
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise ConfigError(f"expected {path} to hold lines `name: value`, found {values!r:.60}. Correct the file.")
    return values
