"""The kernel that headless runs use: always the Python that runs rnlib.

Jupyter looks a kernel up by name, and a "python3" in the user's home or in $JUPYTER_PATH
may belong to another Python without rnlib or torch. Here the name "python3" means this one.
"""

import sys

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager

from rnlib.runs.paths import project_root


class ThisPython(AsyncKernelManager):
    """Starts `sys.executable -m ipykernel_launcher`; the kernel sees the same project as this process."""

    @property
    def kernel_spec(self) -> KernelSpec:
        return KernelSpec(
            argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}", "--log-level=CRITICAL"],
            display_name="Python 3 (ipykernel)",
            language="python",
            env={"RNLIB_ROOT": str(project_root())},
        )
