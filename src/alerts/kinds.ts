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
  srm: {
    subject: 'experiment',
    suppressible: false,
    says: 'The units of an experiment are not split as registered, beyond doubt (e ≥ 1/alpha, lifetime).',
  },
  srm_leak: { subject: 'experiment', suppressible: false, says: 'A variant whose share is 0 has units.' },
  srm_segment: { subject: 'experiment', suppressible: false, says: 'One part of an experiment’s traffic is not split as registered.' },
  srm_fleet: {
    subject: 'experiment',
    suppressible: false,
    says: 'Among all running experiments this one’s split is suspicious (e-BH), though not beyond doubt by itself.',
  },
  contamination: { subject: 'experiment', suppressible: false, says: 'More units than tolerated met more than one variant.' },
  hash_mismatch: { subject: 'experiment', suppressible: false, says: 'Units are in another variant than the registered hash gives.' },
  experiment_registry: {
    subject: 'experiment',
    suppressible: false,
    says: 'The registry of an experiment contradicts itself or what is counted; what it concerns is not tested.',
  },
  unversioned: {
    subject: 'experiment',
    suppressible: false,
    says: 'Several splits are registered and every unit says version 1: the split cannot be tested.',
  },
  reconcile_held: {
    subject: 'reconciler',
    suppressible: false,
    says: 'A run of `reconcile` would move more than anything explains: nothing is applied until a person decides.',
  },
  reconcile_drift: {
    subject: 'reconciler',
    suppressible: false,
    says: 'A run of `reconcile` found more of the spend wrong than is usual, and has repaired it.',
  },
  backfill_moved: { subject: 'reconciler', suppressible: false, says: 'A backfill has moved more of what was shown than .1 %.' },
  quality_gate: { subject: 'reconciler', suppressible: false, says: 'A data-quality check that is a gate has failed: the run is held.' },
  guardrail_violated: {
    subject: 'experiment',
    suppressible: false,
    says: 'A variant harms a guardrail metric by more than it may; the experiment is paused unless it opts out.',
  },
  under_delivery: {
    subject: 'campaign',
    suppressible: true,
    says: 'A campaign has spent less than 70 % of what its day’s plan says, for ten minutes.',
  },
  delivery_health: {
    subject: 'campaign',
    suppressible: true,
    says: 'A campaign delivers less than 70 % of the same hours yesterday, two hours in a row.',
  },
  overspend: {
    subject: 'campaign',
    suppressible: true,
    says: 'A campaign has spent more than 101 % of its day’s cap.',
  },
  platform_spend: {
    subject: 'platform',
    suppressible: true,
    says: 'All campaigns together spend more than 140 % of what is expected of the hour.',
  },
} as const satisfies Record<string, KindSpec>;

export type AlertKind = keyof typeof ALERT_KINDS;

export const isSuppressible = (kind: AlertKind): boolean => (ALERT_KINDS[kind] as KindSpec).suppressible;

/** Where the runbook has it. */
export const runbookAnchor = (kind: string): string => `#${kind}`;
