"""The module as `cmake --install` leaves it, away from the build tree and the sources."""
import support  # before convopt

import importlib.util
import os
import subprocess
import sys
import tempfile
import unittest

import numpy

import models

PROGRAM = """
import sys, numpy, convopt
assert convopt.__file__.startswith(sys.argv[1]), convopt.__file__
session = convopt.InferenceSession(sys.argv[2], threads=1)
print(session.run(["scores"], {"image": numpy.zeros((1, 3, 16, 20), numpy.float32)})[0].shape)
print(convopt.select(sys.argv[2], threads=1).document["model"] != "")
"""


EXAMPLES = os.path.join(os.environ["CONVOPT_SOURCE_DIR"], "examples/python")


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="convopt-prefix-")
        cls.addClassCleanup(folder.cleanup)
        cls.prefix = folder.name
        subprocess.run([os.environ["CONVOPT_CMAKE"], "--install", os.environ["CONVOPT_BINARY_DIR"], "--prefix",
                        cls.prefix], check=True, stdout=subprocess.DEVNULL)
        cls.packages = os.path.join(cls.prefix, "lib/python3/dist-packages")
        cls.model = models.classifier()

    def python(self, *arguments):
        return subprocess.run([sys.executable, *arguments], env=dict(os.environ, PYTHONPATH=self.packages), text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=self.prefix)

    def test_works_below_a_prefix(self):
        self.assertTrue(os.path.exists(os.path.join(self.packages, "convopt/py.typed")))
        result = self.python("-c", PROGRAM, self.prefix, self.model)
        self.assertEqual(result.stdout, "(1, 10)\nTrue\n", result.stderr)
        # It is the installed model that is read, not that of the source tree.
        installed = os.path.join(self.prefix, "share/convopt/models/default.ubj")
        os.rename(installed, installed + ".kept")
        try:
            with open(installed, "w") as file:
                file.write("no model")
            self.assertIn(installed, self.python("-c", PROGRAM, self.prefix, self.model).stderr)
        finally:
            os.replace(installed + ".kept", installed)

    def test_examples(self):
        image = os.path.join(self.prefix, "image.npy")
        numpy.save(image, models.numbers((1, 3, 16, 20), 1))
        for arguments, expected in ((("faster_in_five_lines.py", self.model, image), "probabilities: float32 (1, 10)"),
                                    (("what_the_plan_chose.py", self.model), "by family of primitives"),
                                    (("new_cpu.py", self.model, "3"), "adapted model")):
            with self.subTest(arguments[0]), support.new_data_folder():
                result = self.python(os.path.join(EXAMPLES, arguments[0]), *arguments[1:])
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertIn(expected, result.stdout)

    def test_a_picture(self):
        if importlib.util.find_spec("matplotlib") is None:
            self.skipTest("there is no matplotlib")
        picture = os.path.join(self.prefix, "plan.png")
        result = self.python(os.path.join(EXAMPLES, "what_the_plan_chose.py"), self.model, picture)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertGreater(os.path.getsize(picture), 1000)


if __name__ == "__main__":
    unittest.main()
