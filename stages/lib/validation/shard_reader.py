"""Read a shard of responses as far as it goes, and describe what is wrong with the file."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from stages.lib.core.types import Row
from stages.lib.records.responses import RESPONSE, SYSTEM
from stages.lib.records.shards import read_shard


@dataclass
class ShardReader:
    """One shard of responses; what is known of it once its rows were read goes to .shards.json."""

    sha256: str
    rows: int = 0
    is_readable: bool = False
    has_schema: bool = False
    problem: str = ""

    def read(self, path: Path) -> Iterator[Row]:
        """Yield the rows up to the first that cannot be read; none if the columns are wrong."""
        try:
            self.problem = describe_columns(pq.read_schema(path))
            self.has_schema = not self.problem
            for row in read_shard(path) if self.has_schema else ():
                yield row
                self.rows += 1
            self.is_readable = True
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            self.problem = str(error).splitlines()[0]


def describe_columns(schema: pa.Schema) -> str:
    """Describe how a shard's columns differ from RESPONSE, with or without SYSTEM; empty if they do not."""
    if schema.names[-1:] == [SYSTEM.name] and schema.field(SYSTEM.name).equals(SYSTEM):
        schema = schema.remove(len(schema) - 1)
    missing = [name for name in RESPONSE.names if name not in schema.names]
    present = [name for name in RESPONSE.names if name in schema.names]
    wrong_type = [name for name in present if schema.field(name).type != RESPONSE.field(name).type]
    unknown = [name for name in schema.names if name not in RESPONSE.names]
    differences = {"columns missing": missing, "of another type": wrong_type, "not known": unknown}
    problem = "; ".join(f"{label}: {', '.join(names)}" for label, names in differences.items() if names)
    return problem or ("" if schema.equals(RESPONSE) else "columns in another order")
