"""The environment variables of settings, and problems that name them."""

from collections.abc import Collection, Iterable
from dataclasses import replace
from difflib import get_close_matches
from typing import Final

from pydantic import AliasChoices
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings

from fastapi_scopes.errors import Assignment, ConfigurationProblem

__all__ = [
    "PREFIX",
    "in_variables",
    "misspelt_in",
    "problem_of",
    "unknown_variable",
    "variables_of",
]

PREFIX: Final = "FASTAPI_SCOPES_"

# The only key is in this field, whatever else a verifier takes for keys.
_FIELDS: Final = {"keys": "verification_key", "keys[0]": "verification_key"}


def in_variables(
    problem: ConfigurationProblem, settings: type[BaseSettings]
) -> ConfigurationProblem:
    """Return *problem* of a verifier or a guard, named by the variables of *settings*."""
    named = problem
    if problem.setting is not None:
        field, bracket, rest = _field_of(problem.setting).partition("[")
        named = named.of(variables_of(settings, field) + bracket + rest)
    if isinstance(problem.remedy, Assignment):
        variable = variables_of(settings, _field_of(problem.remedy.setting), only_first=True)
        named = replace(named, remedy=problem.remedy.worded(_written(variable, problem.remedy)))
    return named


def _field_of(setting: str) -> str:
    return _FIELDS.get(setting, setting)


def _written(variable: str, remedy: Assignment) -> str:
    value = remedy.value
    if value is None:
        return variable
    if isinstance(value, list):
        return f"{variable}={','.join(value)}"
    return f"{variable}={str(value).lower() if isinstance(value, bool) else value}"


def variables_of(settings: type[BaseSettings], name: str, *, only_first: bool = False) -> str:
    """Return the variables of the field *name*; what is no field, as it is.

    pydantic names a field with aliases by one of these.
    """
    if name not in settings.model_fields:
        return name
    return " or ".join(_names_of(settings, name)[: 1 if only_first else None])


def _names_of(settings: type[BaseSettings], name: str) -> tuple[str, ...]:
    alias = settings.model_fields[name].validation_alias
    choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
    aliases = tuple(each for each in choices if isinstance(each, str))
    return aliases or (PREFIX + name.upper(),)


def problem_of(
    settings: type[BaseSettings], error: ErrorDetails, *, passed: Collection[str]
) -> ConfigurationProblem:
    """Return what pydantic says of a field, by its keyword where it was *passed*.

    Without the context and the input: they would quote what the variables hold.
    """
    text = error["msg"][:1].lower() + error["msg"][1:]
    if not error["loc"]:
        return ConfigurationProblem(text)
    name = str(error["loc"][0])
    if error["type"] == "extra_forbidden":
        return _unknown_name(settings, name, is_keyword=name in passed)
    where = name if name in passed else variables_of(settings, name)
    return ConfigurationProblem(f"is malformed: {text}", setting=where)


def misspelt_in(names: Iterable[str], settings: type[BaseSettings]) -> list[str]:
    """Return those of *names* that have our prefix and are no setting."""
    fields = settings.model_fields
    known = {each.upper() for name in fields for each in _names_of(settings, name)}
    # A limit that is misspelt would be no limit.
    return [each for each in names if each.upper().startswith(PREFIX) and each.upper() not in known]


def unknown_variable(settings: type[BaseSettings], variable: str) -> ConfigurationProblem:
    """Return the problem with a *variable* that has our prefix and is no setting."""
    nearest = _nearest(settings, variable[len(PREFIX) :])
    return _unknown(variable, nearest and variables_of(settings, nearest))


def _unknown_name(
    settings: type[BaseSettings], name: str, *, is_keyword: bool
) -> ConfigurationProblem:
    if name.upper().startswith(PREFIX):
        return unknown_variable(settings, name)
    sign = "=" if is_keyword else ""
    nearest = _nearest(settings, name)
    return _unknown(name + sign, nearest and nearest + sign)


def _nearest(settings: type[BaseSettings], name: str) -> str | None:
    return next(iter(get_close_matches(name.lower(), settings.model_fields, n=1)), None)


def _unknown(name: str, meant: str | None) -> ConfigurationProblem:
    remedy = "remove it" if meant is None else f"did you mean {meant}"
    return ConfigurationProblem("is no setting", remedy, setting=name)
