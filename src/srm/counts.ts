/** Counts by allocation version and arm, for lists that are short and many. */
export class SplitCounts {
  /** In order of first appearance. */
  readonly versions: { version: number; arms: number[] }[] = [];
  /** A bandit has thousands. */
  readonly #byVersion = new Map<number, number[]>();

  /** Of every arm up to the last that has any. */
  of(version: number): readonly number[] {
    return this.#byVersion.get(version) ?? [];
  }

  get(version: number, arm: number): number {
    return this.of(version)[arm] ?? 0;
  }

  add(version: number, arm: number, growth: number): void {
    const arms = this.#byVersion.get(version) ?? this.#begin(version);
    while (arms.length <= arm) arms.push(0);
    arms[arm] += growth;
  }

  #begin(version: number): number[] {
    const arms: number[] = [];
    this.versions.push({ version, arms });
    this.#byVersion.set(version, arms);
    return arms;
  }

  /** Over all versions. */
  ofArm(arm: number): number {
    return this.versions.reduce((sum, { arms }) => sum + (arms[arm] ?? 0), 0);
  }

  get units(): number {
    return this.versions.reduce((sum, { arms }) => sum + unitsOf(arms), 0);
  }

  /** Without these; a version of which nothing is left is none. */
  without(rows: CountRows): SplitCounts {
    const rest = new SplitCounts();
    const taken = new Map(rows);
    for (const { version, arms } of this.versions) {
      const left = arms.map((count, arm) => count - (taken.get(version)?.[arm] ?? 0));
      if (left.some((count) => count !== 0)) rest.#begin(version).push(...left);
    }
    return rest;
  }
}

const unitsOf = (arms: readonly number[]): number => arms.reduce((total, count) => total + count, 0);

/** As plain data. */
export type CountRows = [version: number, arms: number[]][];

export const rowsOf = ({ versions }: SplitCounts): CountRows => versions.map(({ version, arms }) => [version, [...arms]]);
