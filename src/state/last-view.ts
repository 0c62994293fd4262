/** Views of buffers, for who reads texts that mostly lie one after the other in the same. */
export class LastView {
  #bytes: Uint8Array = new Uint8Array(0);
  #view = viewOf(this.#bytes);

  of(bytes: Uint8Array): DataView {
    if (bytes !== this.#bytes) {
      this.#bytes = bytes;
      this.#view = viewOf(bytes);
    }
    return this.#view;
  }
}

export const viewOf = ({ buffer, byteOffset, byteLength }: Uint8Array): DataView => new DataView(buffer, byteOffset, byteLength);
