import type { CounterWrite } from '../topology/types.ts';

const howOf = ({ keepLarger, stamped, onlyExisting }: CounterWrite): number =>
  (keepLarger ? 1 : 0) + (stamped ? 2 : 0) + (onlyExisting ? 4 : 0);

/** What COMPARE_AND_SET is given for some counters: neighbours that are written alike, to the order of their fields, are one run. */
export function runsOf(writes: readonly CounterWrite[]): string[] {
  const args: string[] = [];
  for (let first = 0, next = 0; first < writes.length; first = next) {
    const { fields, expiryMs } = writes[first];
    const names = Object.keys(fields);
    const countAt = args.push(String(expiryMs), String(howOf(writes[first])), '', String(names.length)) - 2;
    args.push(...names);
    do pushValues(writes[next++].fields, args);
    while (next < writes.length && isAlike(writes[next], writes[first], names));
    args[countAt] = String(next - first);
  }
  return args;
}

const isAlike = (one: CounterWrite, other: CounterWrite, names: readonly string[]): boolean =>
  one.expiryMs === other.expiryMs && howOf(one) === howOf(other) && hasFields(one.fields, names);

function hasFields(fields: Readonly<Record<string, string>>, names: readonly string[]): boolean {
  let at = 0;
  for (const name in fields) if (names[at++] !== name) return false;
  return at === names.length;
}

function pushValues(fields: Readonly<Record<string, string>>, args: string[]): void {
  for (const name in fields) args.push(fields[name]);
}
