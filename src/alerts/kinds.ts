/** Every kind of alert the program raises by itself, declared once. The runbook has an entry for each; a test holds the two against each other. */

/** `page`: somebody must look now. `ticket`: on a working day. `info`: nobody must. */
export const SEVERITIES = ['info', 'ticket', 'page'] as const;
export type Severity = (typeof SEVERITIES)[number];

/** What an alert is about. */
export type SubjectKind = 'source' | 'experiment' | 'campaign' | 'platform' | 'reconciler';

interface KindSpec {
  subject: SubjectKind;
  /** Not raised, and said to be suppressed, while the stream lags behind: what it would say of the world may be our own delay. */
  suppressible: boolean;
  says: string;
}

export const ALERT_KINDS = {
  counts_uncertain: {
    subject: 'source',
    suppressible: false,
    says: 'A source partition began counting again behind a truncated log: its counts may be too low from then on.',
  },
} as const satisfies Record<string, KindSpec>;

export type AlertKind = keyof typeof ALERT_KINDS;

export const isSuppressible = (kind: AlertKind): boolean => (ALERT_KINDS[kind] as KindSpec).suppressible;

/** Where the runbook has it. */
export const runbookAnchor = (kind: string): string => `#${kind}`;
