/** A run for a person: what was wrong, by how much money, why, and what was done; worst first. */
import type { GuardrailResult } from './guardrail-run.ts';
import { measuredText } from './quality.ts';
import type { RunReport } from './run.ts';
import type { ClassTotal, KindTotal } from './tally.ts';
import { grouped, moneyText } from './texts.ts';
import type { Action, Delta, DeltaClass, Kind } from './types.ts';

const WORST = 15;
const NAME_WIDTH = 28;

const signed = (text: string, value: number): string => (value > 0 ? `+${text}` : text);
const percent = (share: number): string => `${(100 * share).toFixed(share !== 0 && share < 0.001 ? 4 : 2)} %`;
export const minuteText = (ms: number): string =>
  Number.isFinite(ms) ? new Date(ms).toISOString().slice(0, 16).replace('T', ' ') : ms > 0 ? 'for ever' : 'never';
const many = (count: number, one: string): string => `${grouped(count)} ${one}${count === 1 ? '' : 's'}`;

/** What each class says to somebody who has never seen the program. */
export const CLASS_TEXTS: Record<DeltaClass, string> = {
  late_events: 'came too late for the stream; billing has them',
  duplicate_suspected: 'counted more than once, or dropped as a copy',
  loss_suspected: 'impressions that the stream never counted',
  invalid_traffic: 'billing and the stream disagree on invalid traffic',
  timezone: 'the same totals, hours apart',
  counter_reset: 'lost when a partition began to count anew',
  assignment_correction: 'assignments were corrected',
  late_bookings: 'booked since the last run',
  unknown: 'nothing explains it',
};

export function printReport(report: RunReport, seconds: number): string {
  const lines = [...headOf(report), ...kindOf('spend', report), ...whyOf('spend', report), ...worstOf(report), ...moneyLines(report)];
  lines.push(
    ...kindOf('exposure', report),
    ...whyOf('exposure', report),
    ...checkLines(report),
    ...guardrailLines(report.guardrails),
    ...endOf(report, seconds),
  );
  return `${lines.join('\n')}\n`;
}

function headOf({ head, finished, failed, status }: RunReport): string[] {
  const { runId, cut, scope } = head;
  const what = scope.isBackfill ? 'backfill of' : status === 'dry_run' ? 'dry run over' : 'hours';
  const lines = [
    '',
    `Run ${runId}: ${what} ${minuteText(scope.fromMs)} to ${minuteText(scope.toMs)} UTC, bookings before ${minuteText(cut.bookedBeforeMs)}`,
  ];
  for (const id of finished) lines.push(`Run ${id} had been interrupted and was finished first.`);
  for (const { runId: id, because } of failed)
    lines.push(`Run ${id} had been interrupted, cannot be finished and was given up: ${because}`);
  return lines;
}

function kindOf(kind: Kind, { summary, head }: RunReport): string[] {
  const total = summary.kinds[kind];
  const { matched, drifted, not_yet_booked: unbooked, in_flight_at_cut: open } = total.states;
  const compared = matched + drifted;
  const name = kind === 'spend' ? 'SPEND' : 'EXPOSURES';
  const lines = ['', `${name.padEnd(11)}${many(compared, 'hour')} compared: ${grouped(matched)} agree, ${driftText(kind, total)}`];
  if (unbooked + open > 0)
    lines.push(
      `${' '.repeat(11)}${grouped(open)} still open in the stream, ${grouped(unbooked)} not yet booked: not compared, not touched`,
    );
  const pad = ' '.repeat(11);
  if (unbooked > 0 && head.cut.completeMs[kind] === Number.NEGATIVE_INFINITY)
    lines.push(`${pad}truth_complete does not say until when ${kind} is booked`);
  if (open > 0 && head.cut.closedMs[kind] === Number.NEGATIVE_INFINITY)
    lines.push(`${pad}a source partition has not been heard of, or has accepted nothing and is not idle: no hour is closed`);
  return lines;
}

function driftText(kind: Kind, { states, absoluteDelta, truth, missingInStream, missingInTruth }: KindTotal): string {
  if (states.drifted === 0) return 'none differs';
  const amount = kind === 'spend' ? moneyText(absoluteDelta) : many(absoluteDelta, 'unit');
  const share = truth > 0 ? ` (${percent(absoluteDelta / truth)} of ${kind === 'spend' ? moneyText(truth) : grouped(truth)})` : '';
  const sides = [
    missingInStream > 0 ? `${grouped(missingInStream)} only in the truth` : '',
    missingInTruth > 0 ? `${grouped(missingInTruth)} only in the stream` : '',
  ];
  const missing = sides.filter(Boolean).join(', ');
  return `${grouped(states.drifted)} differ by ${amount}${share}${missing === '' ? '' : `; ${missing}`}`;
}

/** Per class: how much, why, and what was done. */
function whyOf(kind: Kind, { summary, status }: RunReport): string[] {
  const ranked = Object.entries(summary.kinds[kind].classes) as [DeltaClass, ClassTotal][];
  if (ranked.length === 0) return [];
  ranked.sort(([, a], [, b]) => b.absolute - a.absolute);
  const who = kind === 'spend' ? 'campaigns' : 'variants';
  const texts = status === 'applying' ? DONE : WOULD;
  const rows = ranked.map(([name, { hours, entities, net, actions }]) => {
    const amount = signed(kind === 'spend' ? moneyText(net) : grouped(net), net);
    const done = actions.map((action) => texts[action]).join(', ');
    return `  ${name.padEnd(22)}${grouped(hours).padStart(7)}${grouped(entities).padStart(11)}${amount.padStart(15)}   ${CLASS_TEXTS[name]}; ${done}`;
  });
  return ['', `  ${'why'.padEnd(22)}${'hours'.padStart(7)}${who.padStart(11)}${'truth − shown'.padStart(15)}`, ...rows];
}

const DONE: Record<Action, string> = {
  adjust: 'the truth taken over',
  correct: 'locked: added as a correction',
  report: 'reported only',
  superseded: 'a later run has settled it',
};
const WOULD: Record<Action, string> = { ...DONE, adjust: 'would take the truth over', correct: 'locked: would add a correction' };

const HOLDS = { stream: '', truth: ' (the truth’s word alone)', nothing: ' (not explained)' } as const;

/** Of a run that is held, or would be, those first that hold it. */
function worstOf({ deltas, summary }: RunReport): string[] {
  const isHeld = summary.heldBecause !== null;
  const weight = ({ explainedBy, delta }: Delta): number =>
    (isHeld && explainedBy !== 'stream' ? Number.MAX_SAFE_INTEGER : 0) + Math.abs(delta.amount);
  const worst = deltas.filter(({ kind }) => kind === 'spend').sort((a, b) => weight(b) - weight(a));
  if (worst.length === 0) return [];
  const head = `  ${'worst hours'.padEnd(NAME_WIDTH)}${'hour (UTC)'.padEnd(18)}${'shown'.padStart(14)}${'truth'.padStart(14)}${'difference'.padStart(14)}   why`;
  const rows = worst.slice(0, WORST).map(({ entityId, hourMs, stream, truth, delta, class: name, explainedBy }) => {
    const amounts = [
      stream ? moneyText(stream.shown.amount) : '–',
      truth ? moneyText(truth.amount) : '–',
      signed(moneyText(delta.amount), delta.amount),
    ];
    return `  ${cut(entityId)}${minuteText(hourMs).padEnd(18)}${amounts.map((text) => text.padStart(14)).join('')}   ${name}${isHeld ? HOLDS[explainedBy ?? 'nothing'] : ''}`;
  });
  const left = summary.kinds.spend.states.drifted - WORST;
  const more = left > 0 ? [`  … and ${many(left, 'more hour')} (all are in reconcile_delta)`] : [];
  return ['', head, ...rows, ...more];
}

/** Ids may hold anything, also what moves a cursor. */
const cut = (id: string): string => {
  const plain = id.replace(/[\p{Cc}\p{Cf}]/gu, '·');
  return (plain.length > NAME_WIDTH - 2 ? `${plain.slice(0, NAME_WIDTH - 3)}…` : plain).padEnd(NAME_WIDTH);
};

function moneyLines({ summary, money, status }: RunReport): string[] {
  if (money.length === 0) return [];
  const { creditedMicros, unseenMicros, absorbedMicros, overToleranceMicros, makeGoodMicros, underDeliveredMicros } = summary.money;
  const credited = status === 'applying' ? 'credited back to budgets' : 'would be credited back to budgets';
  const moved = creditedMicros + unseenMicros > 0;
  const lines = [
    '',
    ...(moved
      ? [
          `  money over ${many(money.length, 'campaign-day')}: ${moneyText(creditedMicros)} ${credited}, ${moneyText(unseenMicros)} had been spent unseen`,
        ]
      : []),
    `  beyond caps ${moneyText(absorbedMicros)} absorbed, of it ${moneyText(overToleranceMicros)} over the tolerance of 2 %, ${moneyText(makeGoodMicros)} to make good`,
  ];
  if (underDeliveredMicros > 0) {
    const days = money.filter(({ catchUpMicros }) => catchUpMicros.length > 0);
    lines.push(
      `  ${moneyText(underDeliveredMicros)} not delivered because our counters were too high; proposed to catch up, over three days:`,
    );
    for (const { campaignId, catchUpMicros } of days.slice(0, WORST))
      lines.push(`    ${cut(campaignId)}${catchUpMicros.map(moneyText).join(' + ')}`);
  }
  return lines;
}

function checkLines({ checks }: RunReport): string[] {
  if (checks.length === 0) return [];
  const failed = checks.filter(({ passed }) => !passed);
  const lines = ['', `CHECKS     ${grouped(checks.length - failed.length)} of ${grouped(checks.length)} passed`];
  for (const { check, mode, measured } of failed)
    lines.push(`  ${check.name} (P${check.priority}, ${mode}): ${check.says}; measured ${measuredText(measured)}`);
  return lines;
}

function guardrailLines(guardrails: readonly GuardrailResult[]): string[] {
  if (guardrails.length === 0) return [];
  const share = ({ units, events }: { units: number; events: number }): string => (units === 0 ? '–' : percent(events / units));
  const bad = guardrails.filter(({ verdict }) => verdict !== 'PASS');
  const lines = bad.map(({ experimentId, metric, variantId, verdict, paused, arm, control, because }) =>
    because !== null
      ? `  ${verdict.padEnd(10)}${cut(experimentId)}${metric}: not looked at, ${because}`
      : `  ${verdict.padEnd(10)}${cut(experimentId)}${metric}: ${share(arm)} of the units of ${variantId}, ${share(control)} of the control’s${paused ? '; the experiment was PAUSED' : ''}`,
  );
  return ['', `GUARDRAILS ${grouped(guardrails.length - bad.length)} of ${grouped(guardrails.length)} pass`, ...lines];
}

/** The commonest reason, in the words of somebody who looks at it at night. */
function silenceOf({ kinds }: RunReport['summary']): string[] {
  const { missingInTruth, states } = kinds.spend;
  if (missingInTruth * 2 < states.drifted) return [];
  return [
    `The truth has no row at all for ${grouped(missingInTruth)} of the ${grouped(states.drifted)} hours that differ: is it loaded, and does truth_complete promise too much?`,
  ];
}

function endOf({ head, status, summary }: RunReport, seconds: number): string[] {
  const { adjusted, corrected, heldBecause, before, after, movedShare } = summary;
  const took = `${seconds.toFixed(1)} s`;
  const shares = head.scope.isBackfill
    ? ['', `Shown before ${before.slice(0, 16)}, after ${after.slice(0, 16)}: ${percent(movedShare)} moved`]
    : [];
  if (status === 'held')
    return [
      ...shares,
      '',
      `HELD, nothing was applied: ${heldBecause}.`,
      ...silenceOf(summary),
      `To apply it all the same: exposure-stream reconcile --approve ${head.runId}; to drop it: --reject ${head.runId}`,
      '',
    ];
  const all = adjusted + corrected;
  if (status === 'dry_run') {
    const would = heldBecause === null ? `${many(all, 'hour')} would be repaired` : `it would be held: ${heldBecause}`;
    return [...shares, '', `Nothing was changed: ${all === 0 ? 'there is nothing to repair' : would}. ${took}`, ''];
  }
  const parts = [
    adjusted > 0 ? `${many(adjusted, 'hour')} adjusted` : '',
    corrected > 0 ? `${many(corrected, 'correction')} of locked hours added` : '',
  ];
  return [...shares, '', `Done: ${all === 0 ? 'nothing to repair' : parts.filter(Boolean).join(', ')}. ${took}`, ''];
}
