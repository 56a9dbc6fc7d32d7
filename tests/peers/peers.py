"""What the comparisons with other engines share."""
import array
import json
import os
import re
import shutil
import struct
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
#: Codes of array and struct by NumPy's names of types.
TYPES = {"<f4": "f", "<f8": "d", "<f2": "e", "<i8": "q", "<i4": "i", "<i2": "h", "|i1": "b", "|u1": "B", "|b1": "?"}


def run(*command, **more):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, **more).stdout


def install(folder, *packages):
    """What is missing of these Debian packages, and ONNX Runtime from npm."""
    missing = [package for package in packages if
               subprocess.run(["dpkg", "-s", package], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL).returncode]
    if not (shutil.which("node") and shutil.which("npm")):
        missing += ["nodejs", "npm"]
    if missing:
        run("apt-get", "update")
        run("apt-get", "install", "-y", "--no-install-recommends", *missing)
    if not os.path.exists(os.path.join(folder, "node_modules", "onnxruntime-node")):
        # Without its install script, which only fetches what a CPU has no use for.
        run("npm", "install", "--ignore-scripts", "--prefix", folder, "onnxruntime-node")


class Worker:
    """Another engine in a process of its own, which runs only while it is asked to."""

    def __init__(self, command, folder):
        environment = dict(os.environ, PEERS_MODULES=folder)
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env=environment)
        answer = self.process.stdout.readline().strip()
        if answer != "ready":
            self.close()
            raise RuntimeError(answer or "cannot start " + " ".join(command))

    def times(self, seconds):
        """Milliseconds of the runs that fit."""
        print(seconds, file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def onnxruntime(model, inputs, outputs, threads, folder):
    """A worker that has written its outputs of these inputs; both are .npy files in the model's order."""
    return Worker(["node", os.path.join(HERE, "onnxruntime_worker.js"), model, json.dumps(inputs),
                   json.dumps(outputs), str(threads)], folder)


def read_npy(path):
    """Shape and values; NumPy may be missing from the Python that runs this."""
    with open(path, "rb") as file:
        data = file.read()
    start = 10 + int.from_bytes(data[8:10], "little")
    header = data[10:start].decode("latin1")
    code = TYPES[re.search("'descr': *'([^']*)'", header).group(1)]
    shape = [int(size) for size in re.findall("[0-9]+", re.search(r"\(([^)]*)\)", header).group(1))]
    if code in "e?":
        return shape, [value for value, in struct.iter_unpack("<" + code, data[start:])]
    values = array.array(code)
    values.frombytes(data[start:])
    return shape, values


def write_npy(path, name, shape, values):
    """`name`: NumPy's name of the type."""
    code = TYPES[name]
    sizes = "".join("%d, " % size for size in shape)
    header = "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }" % (name, sizes)
    header = header.ljust((len(header) + 11 + 63) // 64 * 64 - 11) + "\n"
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())
        file.write(struct.pack("<%d%s" % (len(values), code), *values))
