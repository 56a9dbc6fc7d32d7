"""Plans, calibrations and measuring from Python."""
import support  # before convopt

import contextlib
import inspect
import io
import json
import os
import pydoc
import subprocess
import sys
import tempfile
import unittest

import convopt
import numpy

import models


class Tool(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="convopt-tool-")
        cls.path = models.classifier()
        cls.plan = convopt.select(cls.path, threads=1)

    def file(self, name):
        return os.path.join(self.folder, name)

    def test_a_plan_tells_what_was_chosen(self):
        plan = self.plan
        self.assertTrue(plan.platform.endswith("/t1"))
        self.assertTrue(plan.optimal)
        layers = plan.layers
        convolutions = [layer for layer in layers if layer["operation"] == "conv"]
        self.assertEqual(len(convolutions), 2)
        for layer in layers:
            self.assertEqual(set(layer), {"name", "operation", "fused", "primitive", "family", "input_layout",
                                          "output_layout", "input_type", "output_type", "predicted_ms", "low_ms",
                                          "high_ms", "measured", "workload"})
            self.assertLessEqual(layer["low_ms"], layer["high_ms"])
        total = sum(record["predicted_ms"] for record in layers + plan.conversions)
        self.assertAlmostEqual(total, plan.predicted_ms, delta=1e-3 * plan.predicted_ms)
        for text in (convolutions[0]["primitive"], "total", "layer"):
            self.assertIn(text, str(plan))
        self.assertIn("classifier", repr(plan))

    def test_records_for_pandas(self):
        try:
            import pandas
        except ImportError:
            self.skipTest("there is no pandas")
        frame = pandas.DataFrame(self.plan.layers)
        self.assertEqual(len(frame), len(self.plan.layers))
        self.assertGreater(frame.groupby("operation").predicted_ms.sum()["conv"], 0)

    def test_saved_plans_are_those_of_the_command_line(self):
        self.plan.save(self.file("plan.json"))
        loaded = convopt.Plan.load(self.file("plan.json"))
        self.assertEqual(loaded.layers, self.plan.layers)
        self.assertEqual(loaded.document["schema"], "convopt.plan/1")
        x = models.numbers((1, 3, 16, 20), 5)
        for plan in (loaded, self.file("plan.json")):
            session = convopt.InferenceSession(self.path, plan=plan)
            self.assertEqual(session.plan.layers, self.plan.layers)
            scores = session.run(["scores"], {"image": x})[0]
            self.assertLess(abs(scores - models.classified(x)[0]).max(), 1e-4)
        numpy.save(self.file("x.npy"), x)
        subprocess.run([os.environ["CONVOPT_BINARY"], "run", self.path, "--plan", self.file("plan.json"), "--repeat",
                        "1", "--input", self.file("x.npy"), "--output", "scores=" + self.file("y.npy"), "--output",
                        "probabilities=" + self.file("p.npy")], check=True, stdout=subprocess.DEVNULL)
        numpy.testing.assert_array_equal(numpy.load(self.file("y.npy")), scores)
        with self.assertRaisesRegex(convopt.MachineError, "cannot write .*missing/plan.json"):
            self.plan.save(self.file("missing/plan.json"))
        with self.assertRaisesRegex(convopt.InputError, "plan.txt"):
            with open(self.file("plan.txt"), "w") as file:
                file.write("{}")
            convopt.Plan.load(self.file("plan.txt"))
        other = convopt.select(models.classifier("wider", (1, 3, 16, 40)), threads=1)
        with self.assertRaisesRegex(convopt.InputError, "wider|another"):
            convopt.InferenceSession(self.path, plan=other)

    def test_a_bundle_is_run_like_a_model(self):
        self.plan.save(self.file("for_bundle.json"))
        bundle = self.file("model.convopt")
        subprocess.run([os.environ["CONVOPT_BINARY"], "bundle", self.path, "--plan", self.file("for_bundle.json"),
                        "-o", bundle], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        x = models.numbers((1, 3, 16, 20), 7)
        for plan in (None, self.plan):
            session = convopt.InferenceSession(bundle, threads=1, plan=plan)
            self.assertEqual(session.get_inputs()[0].shape, [1, 3, 16, 20])
            self.assertEqual(session.plan.layers, self.plan.layers)
            scores = session.run(["scores"], {"image": x})[0]
            self.assertLess(abs(scores - models.classified(x)[0]).max(), 1e-4)
        with self.assertRaisesRegex(convopt.MachineError, "processor"):
            convopt.InferenceSession(bundle, threads=100000)
        with self.assertRaisesRegex(convopt.UsageError, "precision has no effect"):
            convopt.InferenceSession(bundle, threads=1, precision="int8")
        with open(bundle, "r+b") as file:
            file.truncate(2000)
        with self.assertRaisesRegex(convopt.InputError, "model.convopt"):
            convopt.InferenceSession(bundle)

    def test_options_of_wrong_types_and_times(self):
        for name, value in {"threads": "2", "max_memory": "1MB", "refine": "long"}.items():
            with self.assertRaisesRegex(TypeError, name):
                convopt.select(self.path, **{name: value})
        with self.assertRaisesRegex(convopt.UsageError, "--time-limit"):
            convopt.select(self.path, time_limit=-1)
        for name in ("refine", "confirm"):
            with self.assertRaisesRegex(convopt.UsageError, "--" + name + " is not a time"):
                convopt.select(self.path, **{name: -1})
        for budget in (0, -1, float("nan")):
            with self.assertRaisesRegex(convopt.UsageError, "--budget"):
                convopt.transfer(budget=budget)
        for name in ("budget", "timeout"):
            for seconds in (-3, float("nan"), float("inf")):
                with self.assertRaisesRegex(convopt.UsageError, "--" + name + " is not a time"):
                    convopt.profile([self.path], threads=1, output=self.file("none.jsonl"), **{name: seconds})
        with self.assertRaisesRegex(convopt.UsageError, "winograt"):
            convopt.select(self.path, allow="winograt")

    def test_limits(self):
        plan = convopt.select(self.path, threads=1, allow=["im2col"], max_workspace=10 << 20)
        families = {layer["family"] for layer in plan.layers if layer["operation"] == "conv"}
        self.assertEqual(families, {"im2col"})
        with self.assertRaisesRegex(convopt.UsageError, "nothing_such"):
            convopt.select(self.path, threads=1, allow=["nothing_such"])
        with self.assertRaisesRegex(convopt.MachineError, "--max-memory") as caught:
            convopt.select(self.path, threads=1, max_memory=100)
        self.assertEqual(caught.exception.code, "environment")
        with self.assertRaisesRegex(convopt.UsageError, "no effect with --precision f32"):
            convopt.select(self.path, threads=1, max_output_error=0.1)

    def test_models_by_their_bytes(self):
        with open(self.path, "rb") as file:
            content = file.read()
        plan = convopt.select(content, threads=1)
        self.assertEqual(plan.layers, self.plan.layers)
        self.assertEqual(plan.network, "model")
        self.assertEqual(convopt.InferenceSession(content, threads=1).plan.network, "model")
        x = models.numbers((1, 3, 16, 20), 5)
        (scores,) = convopt.InferenceSession(content, plan=plan).run(["scores"], {"image": x})
        self.assertLess(abs(scores - models.classified(x)[0]).max(), 1e-4)
        self.assertTrue(convopt.calibrate(content, x, threads=1).tensors)
        self.assertGreater(convopt.profile(content, threads=1, dry_run=True)["measurements"], 10)

    def test_arguments_of_wrong_types(self):
        path = models.classifier("open", ("batch", 3, "rows", "columns"))
        for given, sentence in (({"shapes": [1, 3, 8, 8]}, "shapes: not a dictionary by the names of inputs"),
                                ({"shapes": {1: (1, 3, 8, 8)}}, "shapes: not a dictionary by the names of inputs"),
                                ({"shapes": {"image": "1x3x8x8"}}, r"shapes\['image'\] is text, not a tuple of sizes"),
                                ({"shapes": {"image": 8}}, r"shapes\['image'\] is no tuple of sizes"),
                                ({"shapes": {"image": (1, 3, 8, 8.5)}}, "is no integer of 32 bits: 8.5"),
                                ({"shapes": {"image": (1, 3, 8, 2**40)}}, "is no integer of 32 bits"),
                                ({"values": 5}, "values: not a dictionary by the names of inputs"),
                                ({"values": {"image": "five"}}, r"values\['image'\] is no number"),
                                ({"batch": "two"}, "batch is no integer of 32 bits: 'two'"),
                                ({"calibrate": {1: 2}}, "arrays: not a dictionary by the names")):
            with self.assertRaisesRegex(TypeError, sentence) as caught:
                convopt.select(path, threads=1, **{"shapes": {"image": (1, 3, 8, 8)}, **given})
            self.assertNotIn("\n", str(caught.exception))
        for size in (-8, 0):
            with self.assertRaises(convopt.Error):
                convopt.select(path, threads=1, shapes={"image": (1, 3, 8, size)})

    def test_limits_that_are_none(self):
        nan = float("nan")
        for name, values in {"max_error": (-1, nan), "max_output_error": (-1, 0, nan), "min_cosine": (2, -0.5, 1, nan),
                             "batch": (-1,)}.items():
            for value in values:
                with self.assertRaisesRegex(convopt.UsageError, "--" + name.replace("_", "-")):
                    convopt.select(self.path, threads=1, precision="bf16", **{name: value})

    def test_shapes(self):
        path = models.classifier("open", ("batch", 3, "rows", "columns"))
        plan = convopt.select(path, threads=1, shapes={"image": (2, 3, 8, 8)})
        self.assertIn("n2_ic3_ih8_iw8", plan.layers[0]["workload"])
        with self.assertRaisesRegex(convopt.UsageError, "no input 'picture'"):
            convopt.select(path, threads=1, shapes={"picture": (2, 3, 8, 8)})

    def test_int8_by_a_calibration(self):
        x = models.numbers((4, 3, 16, 20), 6)
        with self.assertRaisesRegex(convopt.UsageError, "calibrat"):
            convopt.select(self.path, threads=1, precision="int8")
        calibration = convopt.calibrate(self.path, x, threads=1)
        named = {record["name"]: record for record in calibration.tensors}
        self.assertAlmostEqual(named["image"]["low"], float(x.min()), places=5)
        self.assertAlmostEqual(named["image"]["high"], float(x.max()), places=5)
        for record in calibration.sensitivities:
            self.assertIn(record["type"], ("bf16", "s8"))
            self.assertGreaterEqual(record["error"], 0)
        self.assertEqual(convopt.calibrate(self.path, x, threads=1, sensitivities=False).sensitivities, [])
        with self.assertRaisesRegex(convopt.UsageError, "'least' is none of max, percentile and mse"):
            convopt.calibrate(self.path, x, threads=1, range="least")
        calibration.save(self.file("calibration.json"))
        for given in ({"calibration": calibration}, {"calibration": self.file("calibration.json")},
                      {"calibrate": x, "min_cosine": 0.9}, {"calibrate": {"image": x}}):
            plan = convopt.select(self.path, threads=1, precision="int8", **given)
            if "calibrate" in given:
                self.assertGreater(plan.accuracy["cosine"], 0.9)
        for precision in ("int8", "auto"):
            session = convopt.InferenceSession(self.path, threads=1, precision=precision, calibration=calibration)
            scores = session.run(["scores"], {"image": x[:1]})[0]
            expected = models.classified(x[:1])[0]
            self.assertLess(abs(scores - expected).max(), 0.1 * abs(expected).max())
        for wrong in (x[:, :2], x * numpy.inf, numpy.array(["a"])):
            with self.assertRaises(convopt.InputError):
                convopt.calibrate(self.path, wrong, threads=1)
        with self.assertRaisesRegex(convopt.UsageError, "no input 'picture'"):
            convopt.calibrate(self.path, {"picture": x}, threads=1)

    def test_measuring(self):
        """In a folder of its own, which it fills."""
        with support.new_data_folder() as written:
            self.measure(written)

    def measure(self, written):
        todo = convopt.profile([self.path], threads=1, dry_run=True)
        self.assertGreater(todo["measurements"], 10)
        self.assertEqual(written(), [])
        seen = []
        profile = self.file("own.jsonl")
        summary = convopt.profile([self.path], threads=1, output=profile, progress=seen.append)
        self.assertEqual(summary["workloads_done"], todo["workloads"])
        self.assertEqual(summary["crashed"] + summary["failed"], 0)
        self.assertEqual(set(seen[-1]), {"done", "total", "measurements", "elapsed_s", "remaining_s", "workload"})
        again = convopt.profile([self.path], threads=1, output=profile)
        self.assertEqual(again["ok"], 0)
        plan = convopt.select(self.path, threads=1, profile=profile)
        self.assertTrue(all(layer["measured"] for layer in plan.layers))
        report = convopt.transfer(profile=profile, threads=1, output=self.file("own.ubj"))
        self.assertEqual(report["model"], self.file("own.ubj"))
        self.assertTrue(report["methods"])
        evaluation = convopt.evaluate(self.file("own.ubj"), profile, networks=[self.path])
        self.assertGreaterEqual(evaluation["networks"][0]["regret"], 1)
        plan = convopt.select(self.path, threads=1, refine=5, cost_model=self.file("own.ubj"))
        self.assertTrue(any(layer["measured"] for layer in plan.layers))
        with self.assertRaises(convopt.InputError):
            convopt.evaluate(self.file("own.ubj"), self.file("missing.jsonl"))

    def test_profiles_are_merged_learnt_from_and_checked(self):
        first, second = self.file("first.jsonl"), self.file("second.jsonl")
        for profile, configs in ((first, 3), (second, 6)):
            convopt.profile(threads=1, configs=configs, ops=["conv"], allow=["im2col"], output=profile)
        both = self.file("both.jsonl.gz")
        self.assertIsNone(convopt.merge([first, second], both))
        merged = self.file("merged.jsonl")
        convopt.merge([both], merged, fastest=True)
        with open(merged) as lines, open(second) as second_lines:
            records = [json.loads(line) for line in lines]
            times = [record for record in records if "workload" in record]
            # The first shapes of the second profile are those of the first one.
            self.assertEqual(len(times), sum("workload" in json.loads(line) for line in second_lines))
        with self.assertLogs("convopt", "WARNING") as logged:
            report = convopt.train(merged, output=self.file("trained.ubj"), seed=3)
        self.assertIn("shapes only", logged.output[-1])
        self.assertEqual(report["model"], self.file("trained.ubj"))
        usable = [record for record in times if record["status"] in ("ok", "censored")]
        self.assertEqual(report["samples"], len(usable))
        self.assertEqual(report["workloads"], len({record["workload"] for record in usable}))
        self.assertEqual([record["type"] for record in report["types"]], ["float32"])
        self.assertGreaterEqual(report["holdout"]["regret"], 1)
        with support.new_data_folder() as written:
            own = convopt.train(merged, seed=3)
            self.assertEqual(written(), [os.path.basename(own["model"])])
            self.assertTrue(own["model"].startswith(os.environ["XDG_DATA_HOME"]))
            self.assertEqual(own["holdout"], report["holdout"])
        seen = []
        checked = convopt.check(profile=merged, cost_model=self.file("trained.ubj"), points=3, threads=1,
                                progress=seen.append)
        self.assertEqual(checked["verdict"], "holds")  # times are invented, and the same each time
        self.assertEqual(len(checked["points"]), 3)
        self.assertEqual(set(checked["points"][0]), {"workload", "primitive", "before_ms", "now_ms", "predicted_ms"})
        self.assertAlmostEqual(checked["median_ratio"], 1, places=6)
        self.assertGreater(checked["model_mdrae"], 0)
        self.assertTrue(seen)

    def test_what_cannot_be_merged_learnt_from_or_checked(self):
        with open(self.file("no_profile.jsonl"), "w") as file:
            file.write("{}\n")
        for call in (lambda: convopt.merge([self.file("no_profile.jsonl")], self.file("out.jsonl")),
                     lambda: convopt.train(self.file("no_profile.jsonl")),
                     lambda: convopt.train(self.file("none.jsonl")),
                     lambda: convopt.check(profile=self.file("none.jsonl"), threads=1)):
            with self.assertRaises(convopt.InputError):
                call()
        self.assertFalse(os.path.exists(self.file("out.jsonl")))
        with self.assertRaisesRegex(convopt.UsageError, "no profile is named"):
            convopt.merge([], self.file("out.jsonl"))
        with self.assertRaisesRegex(convopt.UsageError, "needs a profile"):
            convopt.train([])
        with self.assertRaisesRegex(convopt.UsageError, "no timing mode"):
            convopt.train(self.file("none.jsonl"), timing_mode="hot")
        with self.assertRaisesRegex(convopt.UsageError, "fewer than 3"):
            convopt.check(points=2)
        convopt.profile(threads=1, configs=2, ops=["conv"], allow=["im2col"], output=self.file("two.jsonl"))
        with self.assertRaisesRegex(convopt.MachineError, "missing"):
            convopt.train(self.file("two.jsonl"), output=self.file("missing/own.ubj"))

    def test_an_exception_of_progress_ends_the_work(self):
        class Enough(Exception):
            pass

        def progress(state):
            raise Enough(state["measurements"])

        with self.assertRaises(Enough):
            convopt.profile(configs=50, threads=1, output=self.file("stopped.jsonl"), progress=progress)

    def test_an_interrupt_ends_the_work(self):
        program = ("import os, signal, sys, convopt\n"
                   "def progress(state): os.kill(os.getpid(), signal.SIGINT)\n"
                   "try: convopt.profile(configs=50, threads=1, output=sys.argv[1], progress=progress)\n"
                   "except KeyboardInterrupt: print('interrupted')\n")
        result = subprocess.run([sys.executable, "-c", program, self.file("interrupted.jsonl")], text=True,
                                stdout=subprocess.PIPE)
        self.assertEqual(result.stdout, "interrupted\n")

    def test_the_machine_is_measured_only_when_asked(self):
        with support.new_data_folder() as written:
            convopt.select(self.path, threads=1)
            facts = convopt.measure_machine(threads=1, store=False)
            self.assertGreater(facts["peak_gflops"], 0)
            self.assertEqual(written(), [])
            self.assertEqual(convopt.measure_machine(threads=1)["platform"], facts["platform"])
            self.assertEqual(len(written()), 1)

    def test_a_machine_that_cannot_be_stored(self):
        with support.new_data_folder():
            folder = os.environ["XDG_DATA_HOME"]
            os.environ["XDG_DATA_HOME"] = "/dev/null/data"
            try:
                with self.assertLogs("convopt", "WARNING") as logged:
                    self.assertGreater(convopt.measure_machine(threads=1)["peak_gflops"], 0)
            finally:
                os.environ["XDG_DATA_HOME"] = folder
        self.assertRegex(logged.output[0], "are not stored.*/dev/null/data")

    def test_help_teaches(self):
        text = io.StringIO()
        with contextlib.redirect_stdout(text):
            print(pydoc.plain(pydoc.getdoc(convopt)))
        self.assertLess(len(text.getvalue().splitlines()), 50)
        for name in convopt.__all__:
            value = getattr(convopt, name)
            self.assertTrue(inspect.getdoc(value), name)
            if inspect.isfunction(value):
                signature = inspect.signature(value)
                self.assertIsNot(signature.return_annotation, inspect.Signature.empty, name)
                for parameter in signature.parameters.values():
                    self.assertIsNot(parameter.annotation, inspect.Parameter.empty, (name, parameter.name))
        json.dumps(self.plan.document)


if __name__ == "__main__":
    unittest.main()
