// Runs an ONNX model with ONNX Runtime when told to.
//   node onnxruntime_worker.js MODEL INPUT.npy OUTPUT.npy THREADS
// Writes the output of one run, then reads seconds, one number a line, and answers each with the times in
// ms of the runs that fit, as a JSON array.
const fs = require('fs');
const ort = require(require.resolve('onnxruntime-node', {paths: [process.env.PEERS_MODULES || '.']}));

function readNpy(path) {
  const bytes = fs.readFileSync(path);
  const start = 10 + bytes.readUInt16LE(8);
  const shape = /\(([^)]*)\)/.exec(bytes.toString('latin1', 10, start))[1]
      .split(',').filter((part) => part.trim() !== '').map(Number);
  const values = new Float32Array(bytes.buffer.slice(bytes.byteOffset + start, bytes.byteOffset + bytes.length));
  return {shape, values};
}

function writeNpy(path, tensor) {
  let header = `{'descr': '<f4', 'fortran_order': False, 'shape': (${tensor.dims.join(', ')},), }`;
  header = header.padEnd(Math.ceil((header.length + 11) / 64) * 64 - 11) + '\n';
  const magic = Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, 0, 0]);
  magic.writeUInt16LE(header.length, 8);
  const data = tensor.data;
  fs.writeFileSync(path, Buffer.concat([magic, Buffer.from(header), Buffer.from(data.buffer, data.byteOffset, data.byteLength)]));
}

async function main() {
  const [model, input, output, threads] = process.argv.slice(2);
  const session = await ort.InferenceSession.create(model, {
    executionProviders: ['cpu'], intraOpNumThreads: Number(threads), interOpNumThreads: 1,
    graphOptimizationLevel: 'all', logSeverityLevel: 3});
  const {shape, values} = readNpy(input);
  const feeds = {[session.inputNames[0]]: new ort.Tensor('float32', values, shape)};
  const results = await session.run(feeds);
  writeNpy(output, results[session.outputNames[0]]);
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
main().catch((error) => { console.error(error); process.exit(1); });
