/** Of WebAssembly, which the types of Node.js do not know, as much as is used here. */

export interface PagedMemory {
  /** Another one after each growth. */
  readonly buffer: ArrayBuffer;
  /** By pages of 64 KiB: bigints where addresses have 64 bits. Throws RangeError beyond the maximum. */
  grow(pages: number | bigint): void;
}

export interface MemoryDescriptor {
  address?: 'i64';
  initial: number | bigint;
  maximum: number | bigint;
}

interface Platform {
  Memory: new (descriptor: MemoryDescriptor) => PagedMemory;
  Module: new (code: Uint8Array) => object;
  Instance: new (module: object, imports: { env: { memory: PagedMemory } }) => { readonly exports: Record<string, unknown> };
}

/** Undefined where the platform was told to run no compiled code. */
export const { Memory, Module, Instance } = (globalThis as unknown as { WebAssembly?: Platform }).WebAssembly ?? ({} as Platform);
export const PAGE_BYTES = 2 ** 16;
