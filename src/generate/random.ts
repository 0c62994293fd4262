/** Seeded random numbers (sfc32): the same sequence on every machine. */
export class Random {
  private a: number;
  private b: number;
  private c: number;
  private counter = 1;

  /** `lane` separates sequences of one seed. */
  constructor(seed: number, lane: number) {
    this.a = seed | 0;
    this.b = lane | 0;
    this.c = 0x9e3779b9 | 0;
    for (let i = 0; i < 16; i++) this.bits();
  }

  /** 32 random bits, signed. */
  bits(): number {
    const sum = (((this.a + this.b) | 0) + this.counter) | 0;
    this.counter = (this.counter + 1) | 0;
    this.a = this.b ^ (this.b >>> 9);
    this.b = (this.c + (this.c << 3)) | 0;
    this.c = (((this.c << 21) | (this.c >>> 11)) + sum) | 0;
    return sum;
  }

  /** From 0, below 1, in steps of 2^-32. */
  fraction(): number {
    return (this.bits() >>> 0) / 4294967296;
  }

  chance(probability: number): boolean {
    return this.fraction() < probability;
  }

  /** A whole number from `from`, below `to`; `from` where that is empty. */
  whole(from: number, to: number): number {
    return to <= from ? from : from + Math.floor(this.fraction() * (to - from));
  }

  pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.fraction() * items.length)];
  }

  /** Exponential with that mean. */
  exponential(mean: number): number {
    return -mean * Math.log(1 - this.fraction());
  }
}

/** A number in 0…1 that two whole numbers and the seed decide, for choices that must stay the same whenever they are asked for. */
export const fixedFraction = (seed: number, x: number, y: number): number => {
  let h = Math.imul(seed ^ 0x85ebca6b, 0xcc9e2d51) ^ Math.imul(x + 0x7f4a7c15, 0x1b873593) ^ Math.imul(y + 0x165667b1, 0x27d4eb2f);
  h = Math.imul(h ^ (h >>> 16), 0x7feb352d);
  h = Math.imul(h ^ (h >>> 15), 0x846ca68b);
  return ((h ^ (h >>> 16)) >>> 0) / 4294967296;
};
