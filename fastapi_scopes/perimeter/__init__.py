"""The closed perimeter of an app: nothing in it runs undecided."""

from fastapi_scopes.perimeter.expiry import end_at_expiry
from fastapi_scopes.perimeter.perimeter import Perimeter, perimeter_of
from fastapi_scopes.perimeter.startup import PerimeterOptions

__all__ = ["Perimeter", "PerimeterOptions", "end_at_expiry", "perimeter_of"]
