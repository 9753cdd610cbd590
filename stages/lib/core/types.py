"""Names for the plain values that modules hand to one another."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Json = dict[str, Any]  # an object as JSON holds it
Row = dict[str, Any]  # one row of a table, by column
