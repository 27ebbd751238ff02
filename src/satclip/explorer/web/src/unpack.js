// The page's data: a description as JSON, and arrays as gzip in base64.

const KINDS = {
  int8: Int8Array, uint8: Uint8Array, int16: Int16Array, uint16: Uint16Array, uint32: Uint32Array, float32: Float32Array,
};

function bytesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** The header, and arrays by name: {values, shape}. */
export async function unpack() {
  const header = JSON.parse(document.getElementById("header").textContent);
  const packed = new Blob([bytesOf(document.getElementById("data").textContent.trim())]);
  const stream = packed.stream().pipeThrough(new DecompressionStream("gzip"));
  const buffer = await new Response(stream).arrayBuffer();
  const arrays = {};
  for (const [name, { kind, shape, at }] of Object.entries(header.arrays)) {
    const length = shape.reduce((product, side) => product * side, 1);
    arrays[name] = new KINDS[kind](buffer, at, length);
  }
  return { header, arrays };
}
