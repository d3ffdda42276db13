"""The functions and types that a query may name: those of polars 2.1 that answer as SQL's do."""

JSON_FUNCTIONS = frozenset(
    {"json_extract", "json_extract_path", "json_extract_path_text", "json_extract_scalar", "json_extract_string"}
)
AGGREGATES = frozenset(
    {
        *("array_agg", "avg", "corr", "count", "covar_pop", "covar_samp", "first", "last", "max", "median", "min"),
        *("quantile_cont", "quantile_disc", "stddev", "stddev_samp", "string_agg", "sum", "var_samp", "variance"),
    }
)
# What takes numbers, and gives them.
ARITHMETIC = frozenset(
    {
        *("abs", "acos", "asin", "atan", "atan2", "cbrt", "ceil", "ceiling", "cos", "cot", "degrees", "exp"),
        *("floor", "ln", "log", "log10", "log2", "mod", "pi", "pow", "power", "radians", "round", "sign", "sin"),
        *("sqrt", "tan"),
    }
)
STATISTICS = frozenset(
    {
        *("avg", "corr", "covar_pop", "covar_samp", "median", "quantile_cont", "stddev", "stddev_samp", "sum"),
        *("var_samp", "variance"),
    }
)
_WINDOWS = frozenset(
    {
        *("cume_dist", "dense_rank", "first_value", "lag", "last_value", "lead", "nth_value", "ntile"),
        *("percent_rank", "rank", "row_number"),
    }
)
_TEXTS = frozenset(
    {
        *("char_length", "concat", "concat_ws", "ends_with", "initcap", "left", "length", "lower", "lpad", "ltrim"),
        *("octet_length", "regexp_like", "replace", "reverse", "right", "rpad", "rtrim", "split_part"),
        *("starts_with", "strpos", "substr", "substring", "trim", "upper"),
    }
)
_OTHERS = frozenset(
    {"coalesce", "date_part", "date_trunc", "greatest", "ifnull", "least", "nullif", "strftime", "strptime"}
)
FUNCTIONS = AGGREGATES | ARITHMETIC | _WINDOWS | _TEXTS | _OTHERS
TYPES = frozenset(
    {
        *("BIGINT", "BOOLEAN", "DATE", "DECIMAL", "DOUBLE", "FLOAT", "INT", "SMALLINT", "TEXT", "TIME"),
        *("TIMESTAMP", "TINYINT", "VARCHAR"),
    }
)
