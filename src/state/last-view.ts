let bytesOfLast: Uint8Array = new Uint8Array(0);
let last = viewOf(bytesOfLast);

/**
 * For who reads texts that mostly lie one after the other in the same buffer. Everybody shares the last view: one of each reader's own
 * would keep a fetch in memory for as long as that reader is not asked again.
 */
export function lastViewOf(bytes: Uint8Array): DataView {
  if (bytes !== bytesOfLast) {
    bytesOfLast = bytes;
    last = viewOf(bytes);
  }
  return last;
}

/** Shows nothing. */
export const NO_VIEW = last;

export function viewOf({ buffer, byteOffset, byteLength }: ArrayBufferView): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}
