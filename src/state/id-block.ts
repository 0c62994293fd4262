/** Ids that are looked up together. */

/** So many ids at a time. */
export const ID_BLOCK = 64;

/** Ids in somebody's buffer, their hashes and indices. Reused. */
export interface IdBlock {
  bytes: Uint8Array;
  /** At most ID_BLOCK. */
  size: number;
  starts: Int32Array;
  ends: Int32Array;
  hashes: Int32Array;
  indices: Int32Array;
}

export const makeIdBlock = (): IdBlock => ({
  bytes: new Uint8Array(0),
  size: 0,
  starts: new Int32Array(ID_BLOCK),
  ends: new Int32Array(ID_BLOCK),
  hashes: new Int32Array(ID_BLOCK),
  indices: new Int32Array(ID_BLOCK),
});
