"""`python -m pipeline.cli`: the same as `pipeline`."""

from pipeline.cli.app import app

if __name__ == "__main__":
    app(prog_name="pipeline")
