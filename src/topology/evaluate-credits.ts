/** Which days an adjustment has lowered: a credit, after which pacing is careful. Cells that grow below an adjustment are none. */
export class Credits {
  /** Told of each day that an adjustment has lowered. */
  onCredit: ((group: number, day: number) => void) | null = null;
  #deltas: Map<number, number> | null = null;

  /** A quarter hour of that day is another one now, by so much. */
  moved(day: number | null, micros: number): void {
    if (day !== null) this.#deltas?.set(day, (this.#deltas.get(day) ?? 0) + micros);
  }

  /** Takes an adjustment; what moves meanwhile is its doing. */
  watch(group: number, take: () => boolean): boolean {
    const deltas = new Map<number, number>();
    this.#deltas = deltas;
    const stands = take();
    this.#deltas = null;
    for (const [day, micros] of deltas) if (micros < 0) this.onCredit?.(group, day);
    return stands;
  }
}
