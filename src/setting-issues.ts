/** What a schema expected, in words for the person who wrote the setting. */
import type { z } from 'zod';

type Issue = z.core.$ZodIssue;

const NOUNS: Record<string, string> = {
  int: 'a whole number',
  number: 'a number',
  string: 'text',
  object: 'a mapping of names to values',
  record: 'a mapping of names to values',
  boolean: 'true or false',
};

/** e.g. `expected a number above 0`; all that is wrong with one setting. */
export const expectedText = (issues: readonly Issue[]): string => issues.map(textOf).join('; ');

function textOf(issue: Issue): string {
  switch (issue.code) {
    case 'unrecognized_keys':
      return 'there is no such setting (`exposure-stream config --example` shows all)';
    case 'invalid_type':
      return `expected ${NOUNS[issue.expected] ?? issue.expected}`;
    case 'too_small':
    case 'too_big':
      return `expected ${boundText(issue)}`;
    case 'invalid_value':
      return `expected one of ${issue.values.map(String).join(', ')}`;
    default:
      return `expected ${issue.message.replace(/^(Invalid input: )?expected /i, '')}`;
  }
}

function boundText(issue: Extract<Issue, { code: 'too_small' | 'too_big' }>): string {
  if (issue.origin === 'string') return issue.code === 'too_small' ? 'text that is not empty' : `at most ${issue.maximum} characters`;
  const noun = NOUNS[issue.origin] ?? 'a value';
  if (issue.code === 'too_small') return `${noun} ${issue.inclusive ? 'of at least' : 'above'} ${issue.minimum}`;
  return `${noun} ${issue.inclusive ? 'of at most' : 'below'} ${issue.maximum}`;
}

/** Where the setting stands: an unknown name is part of it. */
export const pathOf = (issue: Issue): PropertyKey[] => (issue.code === 'unrecognized_keys' ? [...issue.path, issue.keys[0]] : issue.path);
