"""The environment of these tests: no file of the user's is read or written, and times are invented."""
import contextlib
import os
import tempfile

os.environ["XDG_DATA_HOME"] = tempfile.mkdtemp(prefix="convopt-data-")
os.environ["CONVOPT_TEST_CLOCK"] = "1"
os.environ.pop("CONVOPT_ISA", None)


@contextlib.contextmanager
def new_data_folder():
    """A function that lists the files in it."""
    before = os.environ["XDG_DATA_HOME"]
    with tempfile.TemporaryDirectory(prefix="convopt-data-") as folder:
        os.environ["XDG_DATA_HOME"] = folder
        try:
            yield lambda: sorted(file for _, _, files in os.walk(folder) for file in files)
        finally:
            os.environ["XDG_DATA_HOME"] = before
