"""InferenceSession against NumPy, and against what programs for onnxruntime do."""
import support  # before convopt

import copy
import json
import logging
import os
import tempfile
import threading
import time
import tracemalloc
import unittest

import convopt as onnxruntime
import convopt
import numpy
import onnx

import models


def image(*shape, seed=0):
    return models.numbers(shape, seed)


class Session(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.path = models.classifier()
        cls.session = convopt.InferenceSession(cls.path, threads=1)

    def assert_close(self, result, expected):
        self.assertEqual(result.shape, expected.shape)
        self.assertLess(abs(result - expected).max(), 1e-4 * max(1, abs(expected).max()))

    def test_a_program_for_onnxruntime(self):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        self.assertEqual(onnxruntime.get_device(), "CPU")
        options.add_session_config_entry("key", "value")
        session = onnxruntime.InferenceSession(self.path, options, providers=["CPUExecutionProvider"])
        self.assertEqual(session.get_providers(), ["CPUExecutionProvider"])
        (given,) = session.get_inputs()
        self.assertEqual((given.name, given.shape, given.type), ("image", [1, 3, 16, 20], "tensor(float)"))
        self.assertEqual([output.name for output in session.get_outputs()], ["scores", "probabilities"])
        x = image(1, 3, 16, 20)
        scores, probabilities = session.run(None, {given.name: x}, onnxruntime.RunOptions())
        expected = models.classified(x)
        self.assert_close(scores, expected[0])
        self.assert_close(probabilities, expected[1])
        self.assertEqual(scores.dtype, numpy.float32)
        self.assertAlmostEqual(float(probabilities.sum()), 1, places=5)

    def test_outputs_by_name(self):
        x = image(1, 3, 16, 20, seed=1)
        scores, probabilities = self.session.run([], {"image": x})
        self.assert_close(self.session.run(["probabilities"], {"image": x})[0], probabilities)
        swapped = self.session.run(["probabilities", "scores"], {"image": x})
        numpy.testing.assert_array_equal(swapped[1], scores)
        # Results are the caller's own.
        again = self.session.run(None, {"image": image(1, 3, 16, 20, seed=2)})[0]
        self.assertFalse(numpy.array_equal(again, scores))

    def test_arrays_that_do_not_lie_row_by_row(self):
        x = image(1, 3, 16, 20, seed=3)
        (expected,) = self.session.run(["scores"], {"image": x})
        last = numpy.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
        before = last.copy()
        for other in (numpy.asfortranarray(x), image(1, 3, 32, 20, seed=3), x.astype(">f4"), last, last[:, :, :, :]):
            if other.shape != x.shape:
                other[:, :, ::2] = x
                other = other[:, :, ::2]
            (result,) = self.session.run(["scores"], {"image": other})
            numpy.testing.assert_array_equal(result, expected)
        numpy.testing.assert_array_equal(last, before)
        open_sizes = convopt.InferenceSession(models.classifier("open", ("batch", 3, "rows", "columns")), threads=1)
        for array in (numpy.concatenate([last, last]), last):
            many = numpy.ascontiguousarray(array.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
            numpy.testing.assert_array_equal(
                open_sizes.run(["scores"], {"image": many})[0],
                open_sizes.run(["scores"], {"image": numpy.ascontiguousarray(many)})[0])
        with self.assertRaisesRegex(convopt.InputError, "has the shape"):
            self.session.run(["scores"], {"image": last.transpose(0, 2, 3, 1)[:, :, :, ::-1].transpose(0, 2, 1, 3)})
        self.assert_close(self.session.run(["scores"], {"image": x.tolist()})[0], expected)
        frozen = x.copy()
        frozen.flags.writeable = False
        numpy.testing.assert_array_equal(self.session.run(["scores"], {"image": frozen})[0], expected)

    def test_types(self):
        session = convopt.InferenceSession(models.whole_numbers(), threads=1)
        self.assertEqual([given.type for given in session.get_inputs()], ["tensor(uint8)", "tensor(double)"])
        self.assertEqual([result.type for result in session.get_outputs()], ["tensor(int64)", "tensor(bool)"])
        small = numpy.array([[1, 255, 7], [4, 5, 6]], numpy.uint8)
        large = numpy.array([[300, -5, 7], [0, 1, 2]], numpy.float64)
        whole, less = session.run(None, {"doubles": large, "bytes": small})
        self.assertEqual((whole.dtype, less.dtype), (numpy.int64, numpy.bool_))
        numpy.testing.assert_array_equal(whole, small.astype(int) + large.astype(int))
        numpy.testing.assert_array_equal(less, small < large)
        with self.assertRaisesRegex(convopt.InputError, "'bytes' takes uint8, the array is of int64"):
            session.run(None, {"doubles": large, "bytes": small.astype(int)})

    def refused(self, kind, sentence, names, feed, session=None):
        with self.assertRaises(kind) as caught:
            (session or self.session).run(names, feed)
        self.assertIn(sentence, str(caught.exception))
        self.assertIsInstance(caught.exception, ValueError)
        return caught.exception

    def test_errors(self):
        x = image(1, 3, 16, 20)
        error = self.refused(convopt.UsageError, "no array is given for the input 'image'", None, {})
        self.assertEqual(error.code, "usage")
        self.refused(convopt.UsageError, "no input 'picture', only 'image'", None, {"image": x, "picture": x})
        self.refused(convopt.UsageError, "no output 'best', only 'scores', 'probabilities'", ["best"], {"image": x})
        error = self.refused(convopt.InputError, "takes float32, the array is of float64", None,
                             {"image": x.astype(float)})
        self.assertEqual(error.code, "bad_input")
        self.refused(convopt.InputError, "has the shape (1, 3, 16, 20), the array (3, 16, 20)", None, {"image": x[0]})
        self.refused(convopt.InputError, "no array of numbers", None, {"image": "cat.jpg"})
        with self.assertRaisesRegex(convopt.InputError, "cannot read .*missing.onnx"):
            convopt.InferenceSession("missing.onnx")
        with self.assertRaisesRegex(convopt.UsageError, "more than the"):
            convopt.InferenceSession(self.path, threads=4000)
        with self.assertRaisesRegex(convopt.UsageError, "none of f32, bf16, int8 and auto"):
            convopt.InferenceSession(self.path, precision="f8")
        with self.assertRaisesRegex(convopt.InputError, "no-plan.json"):
            convopt.InferenceSession(self.path, plan="no-plan.json")
        # The session is as good as before.
        self.assert_close(self.session.run(None, {"image": x})[0], models.classified(x)[0])

    def test_unknown_and_senseless_arguments(self):
        with self.assertRaisesRegex(TypeError, "no argument 'thread'"):
            convopt.InferenceSession(self.path, thread=1)
        for threads in (0, -1):
            with self.assertRaisesRegex(convopt.UsageError, "at least 1"):
                convopt.InferenceSession(self.path, threads=threads)
        with self.assertRaisesRegex(TypeError, "threads is no integer: 'two'"):
            convopt.InferenceSession(self.path, threads="two")
        with self.assertRaisesRegex(TypeError, "did you mean 'threads'"):
            convopt.InferenceSession(self.path, thread=1)
        plan = self.session.plan
        for name, value in {"precision": "bf16", "calibration": "c.json", "cost_model": "m.ubj",
                            "profile": "p.jsonl"}.items():
            with self.assertRaisesRegex(convopt.UsageError, name + " has no effect with a plan"):
                convopt.InferenceSession(self.path, plan=plan, **{name: value})
        # One of onnxruntime's own.
        convopt.InferenceSession(self.path, threads=1, enable_fallback=False)

    def test_session_options(self):
        options = convopt.SessionOptions()
        self.assertEqual(repr(options), "SessionOptions()")
        with self.assertRaisesRegex(AttributeError, "no attribute 'intra_op_threads'; did you mean 'intra_op_num_"):
            options.intra_op_threads = 1
        with self.assertRaisesRegex(AttributeError, "did you mean 'add_session_config_entry'"):
            options.add_session_config("key", "value")
        options.log_severity_level = 3
        self.assertEqual(options.log_severity_level, 3)
        # More than there are count as all of them.
        options.intra_op_num_threads = 4000
        self.assertEqual(repr(options), "SessionOptions(intra_op_num_threads=4000, log_severity_level=3)")
        self.assertEqual(repr(copy.deepcopy(options)), repr(options))
        platform = convopt.InferenceSession(self.path, options).plan.platform
        self.assertTrue(platform.endswith("/t" + str(len(os.sched_getaffinity(0)))), platform)
        options.intra_op_num_threads = -1
        with self.assertRaisesRegex(convopt.UsageError, "intra_op_num_threads is -1"):
            convopt.InferenceSession(self.path, options)
        options.intra_op_num_threads = "two"
        with self.assertRaisesRegex(TypeError, "intra_op_num_threads is no integer: 'two'"):
            convopt.InferenceSession(self.path, options)
        runs = convopt.RunOptions()
        runs.terminate = False
        with self.assertRaises(AttributeError):
            runs.intra_op_num_threads = 1

    def test_the_logger_by_onnxruntimes_numbers(self):
        logger = logging.getLogger("convopt")
        before = logger.level
        try:
            for severity, level in enumerate(("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")):
                onnxruntime.set_default_logger_severity(severity)
                self.assertEqual(logging.getLevelName(logger.level), level)
            with self.assertRaisesRegex(convopt.UsageError, "from 0 to 4, not 5"):
                onnxruntime.set_default_logger_severity(5)
        finally:
            logger.setLevel(before)

    def test_functions_without_a_meaning_here(self):
        self.assertEqual(onnxruntime.get_all_providers(), onnxruntime.get_available_providers())
        self.assertEqual(onnxruntime.get_version_string(), convopt.__version__)
        self.assertIn(convopt.__version__, onnxruntime.get_build_info())
        onnxruntime.set_default_logger_verbosity(1)
        onnxruntime.set_seed(1)
        onnxruntime.disable_telemetry_events()
        session = self.session
        session.set_providers(["CUDAExecutionProvider", "CPUExecutionProvider"], [{}, {}])
        session.disable_fallback()
        self.assertEqual(session.get_providers(), ["CPUExecutionProvider"])
        self.assertEqual(session.get_provider_options(), {"CPUExecutionProvider": {}})
        self.assertEqual(session.get_overridable_initializers(), [])

    def test_profiling(self):
        self.assertEqual(self.session.end_profiling(), "")
        self.assertEqual(self.session.get_profiling_start_time_ns(), 0)
        x = image(1, 3, 16, 20)
        with tempfile.TemporaryDirectory() as folder:
            options = convopt.SessionOptions()
            options.intra_op_num_threads = 1
            options.enable_profiling = True
            options.profile_file_prefix = os.path.join(folder, "times")
            # Also where errors are worded anew, of a model by its bytes.
            for model in (self.path, open(self.path, "rb").read()):
                session = convopt.InferenceSession(model, options)
                begin = session.get_profiling_start_time_ns()
                self.assertLess(abs(begin - time.time_ns()), 60e9)
                numpy.testing.assert_array_equal(
                    session.run(["scores"], {"image": x})[0], self.session.run(["scores"], {"image": x})[0])
                session.run(None, {"image": x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)})
                self.assertEqual(os.listdir(folder), [])
                name = session.end_profiling()
                self.assertTrue(name.startswith(os.path.join(folder, "times_20")), name)
                with open(name, encoding="utf-8") as file:
                    events = json.load(file)
                os.remove(name)
                runs = [event for event in events if event["cat"] == "Session"]
                layers = [event for event in events if event["cat"] == "Node"]
                self.assertEqual(len(runs), 2)
                self.assertEqual(len(layers) % 2, 0)
                primitives = {layer["primitive"] for layer in session.plan.layers}
                self.assertLessEqual(primitives - {None, ""}, {layer["args"]["primitive"] for layer in layers})
                self.assertLessEqual(sum(layer["dur"] for layer in layers), sum(run["dur"] for run in runs))
                # It has ended.
                session.run(None, {"image": x})
                self.assertEqual(session.end_profiling(), "")
            options.profile_file_prefix = os.path.join(folder, "missing", "times")
            session = convopt.InferenceSession(self.path, options)
            with self.assertRaisesRegex(convopt.MachineError, "cannot write '.*missing/times_"):
                session.end_profiling()

    def test_values(self):
        x = image(1, 3, 16, 20, seed=4)
        value = onnxruntime.OrtValue.ortvalue_from_numpy(x)
        self.assertIs(value.numpy(), x)
        self.assertEqual((value.shape(), value.data_type()), ([1, 3, 16, 20], "tensor(float)"))
        self.assertEqual((value.device_name(), value.data_ptr()), ("cpu", x.ctypes.data))
        (scores,) = self.session.run_with_ort_values(["scores"], {"image": value})
        numpy.testing.assert_array_equal(scores.numpy(), self.session.run(["scores"], {"image": x})[0])
        value = onnxruntime.OrtValue.ortvalue_from_shape_and_type([2, 3], numpy.int64)
        self.assertEqual((value.shape(), value.data_type()), ([2, 3], "tensor(int64)"))
        value.update_inplace(numpy.arange(6).reshape(2, 3))
        self.assertEqual(value.numpy().tolist(), [[0, 1, 2], [3, 4, 5]])
        with self.assertRaisesRegex(convopt.InputError, r"int64 \(3, 2\), what is bound to it int64 \(2, 3\)"):
            value.update_inplace(numpy.zeros((3, 2), numpy.int64))
        with self.assertRaisesRegex(convopt.UsageError, "no device 'cuda:0', only 'cpu'"):
            onnxruntime.OrtValue.ortvalue_from_numpy(x, "cuda", 0)

    def test_bindings(self):
        x, other = image(1, 3, 16, 20, seed=5), image(1, 3, 16, 20, seed=6)
        expected = self.session.run(None, {"image": x})
        binding = self.session.io_binding()
        with self.assertRaisesRegex(convopt.UsageError, "no output is bound"):
            self.session.run_with_iobinding(binding)
        binding.bind_cpu_input("image", x)
        mine = numpy.zeros_like(expected[1])
        binding.bind_output("probabilities", "cpu", 0, numpy.float32, mine.shape, mine.ctypes.data)
        binding.bind_output("scores")
        self.session.run_with_iobinding(binding)
        numpy.testing.assert_array_equal(mine, expected[1])
        probabilities, scores = binding.copy_outputs_to_cpu()
        numpy.testing.assert_array_equal(scores, expected[0])
        self.assertEqual(binding.get_outputs()[0].data_ptr(), mine.ctypes.data)
        # What is bound is read and written again.
        numpy.copyto(x, other)
        self.session.run_with_iobinding(binding)
        numpy.testing.assert_array_equal(mine, self.session.run(["probabilities"], {"image": other})[0])
        binding.clear_binding_inputs()
        with self.assertRaisesRegex(convopt.UsageError, "no array is given for the input 'image'"):
            self.session.run_with_iobinding(binding)
        binding.bind_input("image", "cpu", 0, numpy.float32, other.shape, other.ctypes.data)
        binding.clear_binding_outputs()
        value = onnxruntime.OrtValue.ortvalue_from_shape_and_type(expected[0].shape, numpy.float32)
        binding.bind_ortvalue_output("scores", value)
        self.session.run_with_iobinding(binding)
        numpy.testing.assert_array_equal(value.numpy(), self.session.run(["scores"], {"image": other})[0])
        binding.bind_ortvalue_output("scores", onnxruntime.OrtValue.ortvalue_from_shape_and_type([1], numpy.float32))
        with self.assertRaisesRegex(convopt.InputError, "the output 'scores' is float32 "):
            self.session.run_with_iobinding(binding)
        with self.assertRaisesRegex(convopt.UsageError, "needs its shape and element_type"):
            binding.bind_output("scores", buffer_ptr=mine.ctypes.data)

    def test_models_by_their_bytes(self):
        x = image(1, 3, 8, 9)
        for sizes in ((1, 3, 8, 9), (1, 3, "rows", "columns")):
            path = models.classifier("by_bytes", sizes)
            with open(path, "rb") as file:
                session = convopt.InferenceSession(file.read(), threads=1)
            # Open sizes are planned now, from what the session keeps.
            os.remove(path)
            self.assert_close(session.run(["scores"], {"image": x})[0], models.classified(x)[0])
        for call in (lambda: convopt.InferenceSession(b"no model", threads=1), lambda: convopt.select(b"no model")):
            with self.assertRaises(convopt.InputError) as caught:
                call()
            self.assertTrue(str(caught.exception).startswith("the given bytes: it is neither"), caught.exception)
        # Also what is found when sizes are known.
        with open(models.classifier("by_bytes", (1, 3, "rows", "columns")), "rb") as file:
            content = file.read()
        session = convopt.InferenceSession(content, threads=1)
        with self.assertRaises(convopt.Error) as caught:
            session.run(None, {"image": image(1, 3, 0, 9)})
        self.assertNotIn("/proc", str(caught.exception))

    def test_what_a_model_says_of_itself(self):
        path = models.classifier("described")
        model = onnx.load(path)
        model.producer_name = "a test"
        model.model_version = 3
        onnx.helper.set_model_props(model, {"names": "{0: 'cat'}", "stride": "32"})
        onnx.save(model, path)
        options = convopt.SessionOptions()
        session = convopt.InferenceSession(path, options, threads=1)
        meta = session.get_modelmeta()
        self.assertEqual(meta.custom_metadata_map, {"names": "{0: 'cat'}", "stride": "32"})
        self.assertEqual((meta.producer_name, meta.version, meta.graph_name), ("a test", 3, "described"))
        self.assertIs(session.get_session_options(), options)
        self.assertIn("graph_name='described'", repr(meta))
        self.assertIn("producer_name='a test'", repr(meta))

    def test_one_output_by_its_name(self):
        session = convopt.InferenceSession(models.classifier(), threads=1)
        x = numpy.zeros(session.get_inputs()[0].shape, numpy.float32)
        name = session.get_outputs()[0].name
        one, = session.run(name, {session.get_inputs()[0].name: x})
        same, = session.run([name], {session.get_inputs()[0].name: x})
        numpy.testing.assert_array_equal(one, same)
        with self.assertRaisesRegex(TypeError, "input_feed"):
            session.run(None, [x])

    def test_open_sizes(self):
        session = convopt.InferenceSession(models.classifier("open", ("batch", 3, "rows", "columns")), threads=1)
        self.assertEqual(session.get_inputs()[0].shape, ["batch", 3, "rows", "columns"])
        self.assertIsNone(session.plan)
        for shape in ((1, 3, 8, 9), (2, 3, 8, 9), (1, 3, 21, 5), (1, 3, 8, 9)):
            x = image(*shape, seed=sum(shape))
            self.assert_close(session.run(["scores"], {"image": x})[0], models.classified(x)[0])
        self.assertEqual(session.plan.network, "open")
        self.refused(convopt.InputError, "has the shape (batch, 3, rows, columns), the array (1, 4, 8, 9)", None,
                     {"image": image(1, 4, 8, 9)}, session)
        # More sets of sizes than are kept.
        for rows in list(range(4, 14)) + [4]:
            x = image(1, 3, rows, 6)
            self.assert_close(session.run(["scores"], {"image": x})[0], models.classified(x)[0])

    def test_shapes_that_depend_on_numbers(self):
        path, weights = models.detector()
        session = convopt.InferenceSession(path, threads=1)
        self.assertEqual(session.get_outputs()[0].shape, ["count", 3])
        counts = set()
        for seed in range(4):
            x = image(1, 3, 6, 6, seed=seed)
            kept, boxes = session.run(None, {"image": x})
            expected = models.detected(x, weights)
            numpy.testing.assert_array_equal(kept, expected[0])
            self.assertEqual(kept.dtype, numpy.int64)
            self.assert_close(boxes, expected[1])
            counts.add(len(kept))
        self.assertGreater(len(counts), 1)

    def test_threads_run_one_session_at_once(self):
        inputs = [image(1, 3, 16, 20, seed=seed) for seed in range(4)]
        expected = [self.session.run(["scores"], {"image": x})[0] for x in inputs]
        wrong = []

        def run(index):
            for _ in range(50):
                (scores,) = self.session.run(["scores"], {"image": inputs[index]})
                if not numpy.array_equal(scores, expected[index]):
                    wrong.append(index)

        threads = [threading.Thread(target=run, args=(index,)) for index in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])

    def test_arrays_are_read_where_they_are(self):
        session = convopt.InferenceSession(models.classifier("large", (1, 3, 300, 400)), threads=1)
        x = image(1, 3, 300, 400)
        last = numpy.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
        for array, copies in ((x, False), (last, False), (numpy.asfortranarray(x), True)):
            tracemalloc.start()  # knows NumPy's arrays
            session.run(["scores"], {"image": array})
            most = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            self.assertEqual(most >= x.nbytes, copies, most)

    def test_other_threads_run_meanwhile(self):
        session = convopt.InferenceSession(models.classifier("large", (1, 3, 300, 400)), threads=1)
        feed = {"image": image(1, 3, 300, 400)}
        seen, done = [], threading.Event()

        def watch():
            while not done.wait(1e-4):
                seen.append(time.perf_counter())

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            for _ in range(200):
                start = time.perf_counter()
                session.run(None, feed)
                end = time.perf_counter()
                # Not near the ends, where the lock is held anyway.
                low, high = start + (end - start) / 4, end - (end - start) / 4
                if any(low < moment < high for moment in seen):
                    return
        finally:
            done.set()
            watcher.join()
        self.fail("no other thread ran while the model was computed")

    def test_sizes_seen_by_several_threads_first(self):
        session = convopt.InferenceSession(models.classifier("open", ("batch", 3, "rows", "columns")), threads=1)
        errors = []

        def run(index):
            try:
                x = image(1, 3, 5 + index % 3, 7, seed=index)
                self.assert_close(session.run(["scores"], {"image": x})[0], models.classified(x)[0])
            except Exception as error:  # a thread's exception would be lost
                errors.append(error)

        threads = [threading.Thread(target=run, args=(index,)) for index in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(errors, [])

    def test_nothing_is_written(self):
        with support.new_data_folder() as written:
            convopt.InferenceSession(self.path, threads=1).run(None, {"image": image(1, 3, 16, 20)})
            self.assertEqual(written(), [])

    def test_memory(self):
        memory = self.session.memory
        self.assertGreaterEqual(memory["packed_weights"], 4 * models.CLASSIFIER["w2"].size)
        self.assertEqual(set(memory), {"packed_weights", "tensors", "workspace"})

    def test_a_network_without_weights(self):
        path = os.path.join(os.environ["CONVOPT_SOURCE_DIR"], "data/networks/squeezenet1_1.json")
        session = convopt.InferenceSession(path, threads=1)
        (scores,) = session.run(None, {session.get_inputs()[0].name: image(1, 3, 224, 224)})
        self.assertEqual(scores.size, 1000)
        with open(path, "rb") as file:
            content = file.read()
        for plan in (convopt.select(content, threads=1), convopt.InferenceSession(content, threads=1).plan):
            self.assertEqual(plan.network, "squeezenet1_1")


if __name__ == "__main__":
    unittest.main()
