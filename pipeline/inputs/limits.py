"""Limits of an input: a row or a cell beyond them would fill a replica's memory."""

from pipeline.units import MIB

# Bytes of an input when it is unpacked, of a line or a row of it, and of one item.
UNPACKED_LIMIT = 16 * 1024 * MIB
LINE_LIMIT = 64 * MIB
CELL_LIMIT = 16 * MIB
# Lines without a row, columns, letters of their names, and cells of a piece of rows in memory.
BLANK_LIMIT = 10_000_000
MOST_COLUMNS = 16_384
NAMES_LIMIT = MIB
PIECE_CELLS = 2 * MIB
