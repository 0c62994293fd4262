import type { Stream } from '../topology/types.ts';
import { FIELDS } from './decode-fields.ts';

/**
 * Contract name → name in the user's JSON. A dotted name reaches into nested objects (`payload.id`), and is read by the
 * slower path. Names left out are the same on both sides; a name that is mapped away is an unknown one in the JSON.
 */
export interface FieldMapping {
  [contractField: string]: string;
}

/** Where a field lies: one step a level. */
export function fieldPath(mapping: FieldMapping, contractName: string): string[] {
  return (Object.hasOwn(mapping, contractName) ? mapping[contractName] : contractName).split('.');
}

/** What is wrong with a mapping of this stream, in sentences; empty when nothing is. */
export function mappingProblems(stream: Stream, mapping: FieldMapping): string[] {
  const known = FIELDS[stream].map((field) => field.name);
  const problems: string[] = [];
  for (const [contractName, theirs] of Object.entries(mapping)) {
    if (!known.includes(contractName)) problems.push(`${stream} has no field ${contractName} (it has ${known.join(', ')})`);
    if (theirs.split('.').includes('')) problems.push(`${stream}.${contractName}: '${theirs}' has an empty step`);
  }
  return problems;
}
