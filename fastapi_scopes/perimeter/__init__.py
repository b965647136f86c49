"""The closed perimeter of an app."""

from fastapi_scopes.perimeter.expiry import ending_at
from fastapi_scopes.perimeter.perimeter import Perimeter, perimeter_of
from fastapi_scopes.perimeter.startup import PerimeterOptions

__all__ = ["Perimeter", "PerimeterOptions", "ending_at", "perimeter_of"]
