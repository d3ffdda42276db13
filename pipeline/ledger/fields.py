"""The fields of the ledger's hash, as lua/fields.lua declares them: a name may hold a number, as in `seg:<segment>`."""

from importlib.resources import files

from pipeline.ledger.headers import read_rows

FIELDS = tuple(read_rows((files("pipeline.ledger") / "lua" / "fields.lua").read_text(), "field"))
