// Runs an ONNX model with ONNX Runtime when told to.
//   node onnxruntime_worker.js MODEL                                describes the model's inputs and outputs, as JSON
//   node onnxruntime_worker.js MODEL [INPUT.npy, …] [OUTPUT.npy, …] THREADS
// Inputs and outputs are JSON arrays of files in the model's order. Writes the outputs of one run, then
// reads seconds, one number a line, and answers each with the times in ms of the runs that fit, as a JSON
// array. What goes wrong is told in one line, and the code is 1.
const fs = require('fs');
const ort = require(require.resolve('onnxruntime-node', {paths: [process.env.PEERS_MODULES || '.']}));

// NumPy's names of types.
const descriptors = {float32: '<f4', float64: '<f8', float16: '<f2', int64: '<i8', int32: '<i4', int16: '<i2',
                     int8: '|i1', uint8: '|u1', bool: '|b1'};
const constructors = {float32: Float32Array, float64: Float64Array, int64: BigInt64Array, int32: Int32Array,
                      int16: Int16Array, int8: Int8Array, uint8: Uint8Array, bool: Uint8Array,
                      float16: globalThis.Float16Array || Uint16Array};

function readNpy(path, type) {
  const bytes = fs.readFileSync(path);
  const start = 10 + bytes.readUInt16LE(8);
  const header = bytes.toString('latin1', 10, start);
  if (!header.includes(`'${descriptors[type]}'`)) throw new Error(`${path} does not hold ${type}`);
  const shape = /\(([^)]*)\)/.exec(header)[1].split(',').filter((part) => part.trim() !== '').map(Number);
  const values = bytes.buffer.slice(bytes.byteOffset + start, bytes.byteOffset + bytes.length);
  return new ort.Tensor(type, new constructors[type](values), shape);
}

function writeNpy(path, tensor) {
  const sizes = tensor.dims.map((size) => size + ', ').join('');
  let header = `{'descr': '${descriptors[tensor.type]}', 'fortran_order': False, 'shape': (${sizes}), }`;
  header = header.padEnd(Math.ceil((header.length + 11) / 64) * 64 - 11) + '\n';
  const magic = Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, 0, 0]);
  magic.writeUInt16LE(header.length, 8);
  const data = tensor.data;
  fs.writeFileSync(path, Buffer.concat([magic, Buffer.from(header), Buffer.from(data.buffer, data.byteOffset, data.byteLength)]));
}

async function main() {
  const [model, inputs, outputs, threads] = process.argv.slice(2);
  const session = await ort.InferenceSession.create(model, {
    executionProviders: ['cpu'], intraOpNumThreads: Number(threads || 1), interOpNumThreads: 1,
    graphOptimizationLevel: 'all', logSeverityLevel: 3});
  if (!inputs) {
    console.log(JSON.stringify({inputs: session.inputMetadata, outputs: session.outputMetadata}));
    return;
  }
  const feeds = {};
  JSON.parse(inputs).forEach((path, i) => {
    feeds[session.inputNames[i]] = readNpy(path, session.inputMetadata[i].type);
  });
  const results = await session.run(feeds);
  JSON.parse(outputs).forEach((path, i) => writeNpy(path, results[session.outputNames[i]]));
  console.log('ready');
  for await (const line of require('readline').createInterface({input: process.stdin})) {
    const times = [];
    await session.run(feeds);  // what the others left in the caches
    for (const end = process.hrtime.bigint() + BigInt(Math.round(Number(line) * 1e9));;) {
      const before = process.hrtime.bigint();
      await session.run(feeds);
      const after = process.hrtime.bigint();
      times.push(Number(after - before) / 1e6);
      if (after >= end) break;
    }
    console.log(JSON.stringify(times));
  }
}
main().catch((error) => { console.log(String(error.message).replace(/\s+/g, ' ')); process.exit(1); });
