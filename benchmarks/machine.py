"""What figures were taken with: no name of a host, and no path."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("fastapi", "starlette", "pydantic", "cryptography", "python-jose", "uvicorn")


def cpu_model() -> str:
    told = Path("/proc/cpuinfo")
    if told.exists():
        for line in told.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def description() -> dict[str, str]:
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cpu": f"{os.cpu_count()} cores of {cpu_model()}",
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
    }
