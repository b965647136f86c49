"""An environment for each peer, so that none changes what another, or this project, runs with.

    python -m benchmarks.peers.environments FOLDER

FOLDER gets one virtual environment a peer, with the FastAPI that is installed here. It may be any
folder outside of the project; `python -m benchmarks.guard_overhead --peers FOLDER` measures what
is in it.
"""

import argparse
import subprocess
import sys
import venv
from importlib.metadata import version
from pathlib import Path

from benchmarks.peers.participants import PARTICIPANTS, Participant


def python_of(participant: Participant, folder: Path) -> Path:
    """Return the interpreter that runs *participant*; ours is the one that runs this."""
    if participant.is_ours:
        return Path(sys.executable)
    bin_folder = "Scripts" if sys.platform == "win32" else "bin"
    return folder / participant.distribution / bin_folder / "python"


def install(participant: Participant, folder: Path) -> bool:
    """Make the environment, if there is none, and tell whether everything could be installed."""
    python = python_of(participant, folder)
    if not python.exists():
        venv.create(folder / participant.distribution, with_pip=True)
    same = [f"{name}=={version(name)}" for name in ("fastapi", "starlette", "cryptography")]
    wanted = [participant.distribution, *participant.requirements, *same]
    command = [python, "-m", "pip", "install", "--quiet", *wanted]
    return subprocess.run(command, check=False).returncode == 0  # noqa: S603


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    peers = {each.distribution: each for each in PARTICIPANTS if not each.is_ours}
    for name, participant in peers.items():
        print(f"{name}: {'ready' if install(participant, folder) else 'could not be installed'}")


if __name__ == "__main__":
    main()
