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

const platform = (globalThis as unknown as { WebAssembly?: Platform }).WebAssembly;
/** False where the platform was told to run no compiled code (`node --jitless`): the rest is undefined then. */
export const hasWebAssembly = platform !== undefined;
export const { Memory, Module, Instance } = platform ?? ({} as Platform);
export const PAGE_BYTES = 2 ** 16;
