"""A million rows in every format, through the whole stack, and out again in every format: the same rows."""
