/** Counts by allocation version and arm, for lists that are short and many. */
export class SplitCounts {
  /** In order of first appearance. */
  readonly versions: { version: number; arms: number[] }[] = [];

  /** Of every arm up to the last that has any. */
  of(version: number): readonly number[] {
    return this.versions.find((one) => one.version === version)?.arms ?? [];
  }

  get(version: number, arm: number): number {
    return this.of(version)[arm] ?? 0;
  }

  add(version: number, arm: number, growth: number): void {
    let found = this.versions.find((one) => one.version === version);
    if (found === undefined) {
      found = { version, arms: [] };
      this.versions.push(found);
    }
    while (found.arms.length <= arm) found.arms.push(0);
    found.arms[arm] += growth;
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
    for (const { version, arms } of this.versions) {
      const taken = rows.find(([of]) => of === version)?.[1] ?? [];
      const left = arms.map((count, arm) => count - (taken[arm] ?? 0));
      if (left.some((count) => count !== 0)) rest.versions.push({ version, arms: left });
    }
    return rest;
  }
}

const unitsOf = (arms: readonly number[]): number => arms.reduce((total, count) => total + count, 0);

/** As plain data. */
export type CountRows = [version: number, arms: number[]][];

export const rowsOf = ({ versions }: SplitCounts): CountRows => versions.map(({ version, arms }) => [version, [...arms]]);
