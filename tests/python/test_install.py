"""The module as `cmake --install` leaves it, away from the build tree and the sources."""
import support  # noqa: F401

import os
import subprocess
import sys
import tempfile
import unittest

import models

PROGRAM = """
import sys, numpy, convopt
assert convopt.__file__.startswith(sys.argv[1]), convopt.__file__
session = convopt.InferenceSession(sys.argv[2], threads=1)
print(session.run(["scores"], {"image": numpy.zeros((1, 3, 16, 20), numpy.float32)})[0].shape)
print(convopt.select(sys.argv[2], threads=1).document["model"] != "")
"""


class Install(unittest.TestCase):
    def test_works_below_a_prefix(self):
        with tempfile.TemporaryDirectory(prefix="convopt-prefix-") as prefix:
            subprocess.run([os.environ["CONVOPT_CMAKE"], "--install", os.environ["CONVOPT_BINARY_DIR"], "--prefix",
                            prefix], check=True, stdout=subprocess.DEVNULL)
            packages = os.path.join(prefix, "lib/python3/dist-packages")
            self.assertTrue(os.path.exists(os.path.join(packages, "convopt/py.typed")))
            environment = dict(os.environ, PYTHONPATH=packages)
            result = subprocess.run([sys.executable, "-c", PROGRAM, prefix, models.classifier()], env=environment,
                                    stdout=subprocess.PIPE, text=True, cwd=prefix)
            self.assertEqual(result.stdout, "(1, 10)\nTrue\n")
            # It is the installed model that is read, not that of the source tree.
            installed = os.path.join(prefix, "share/convopt/models/default.ubj")
            os.truncate(installed, 10)
            result = subprocess.run([sys.executable, "-c", PROGRAM, prefix, models.classifier()], env=environment,
                                    stderr=subprocess.PIPE, text=True, cwd=prefix)
            self.assertIn(installed, result.stderr)


if __name__ == "__main__":
    unittest.main()
