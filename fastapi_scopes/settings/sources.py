"""What is misspelt where settings come from."""

import os
from collections.abc import Iterator
from pathlib import Path

from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
)

from fastapi_scopes.settings.variables import misspelt_in

__all__ = ["misspelt_in_dotenv", "misspelt_in_secrets"]


def misspelt_in_dotenv(
    settings: type[BaseSettings], source: PydanticBaseSettingsSource
) -> Iterator[str]:
    """Yield the variables of a dotenv file that have our prefix and are no setting."""
    if not isinstance(source, DotEnvSettingsSource):
        return
    misspelt = misspelt_in(source.env_vars, settings)
    if not misspelt:
        return
    # The source has all names in lower case; they are named as they stand in the file.
    written = DotEnvSettingsSource(
        settings,
        env_file=source.env_file,
        env_file_encoding=source.env_file_encoding,
        case_sensitive=True,
    )
    spelling = {each.lower(): each for each in written.env_vars}
    for each in misspelt:
        yield spelling.get(each.lower(), each.upper())


def misspelt_in_secrets(
    settings: type[BaseSettings], source: PydanticBaseSettingsSource
) -> list[str]:
    """Return the same of the files in a folder of secrets."""
    return misspelt_in(_secret_files(source), settings)


def _secret_files(source: PydanticBaseSettingsSource) -> Iterator[str]:
    if not isinstance(source, SecretsSettingsSource) or source.secrets_dir is None:
        return
    given = source.secrets_dir
    for folder in [given] if isinstance(given, str | os.PathLike) else given:
        yield from (each.name for each in Path(folder).expanduser().glob("*"))
