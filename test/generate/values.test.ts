import { describe, expect, it } from 'vitest';
import { BREAKS } from '../../src/generate/broken.ts';
import { unusualForm } from '../../src/generate/forms.ts';
import { STREAMS } from '../../src/topology/types.ts';
import { decode, Invalid, type OracleRecord } from '../oracle/contract.ts';
import { ORACLE_DEFAULTS } from '../oracle/oracle.ts';

const AT = 1_790_000_000_123;
const EXPERIMENT = { event_id: 'e-1', experiment_id: 'exp "1"', variant_id: 'a', unit_id: '🙂-7', event_ts: AT, received_ts: AT + 5 };
const EXAMPLES = {
  exposures: JSON.stringify({ ...EXPERIMENT, attributes: { country: 'DE', more: [1, {}] } }),
  assignments: JSON.stringify(EXPERIMENT),
  impressions: JSON.stringify({ event_id: 'e-1', campaign_id: 'Ключ', spend_micros: 1500, event_ts: AT, surface: 'web', is_valid: false }),
};

const read = (record: Pick<OracleRecord, 'topic' | 'value'>) =>
  decode({ ...record, partition: 0, key: Buffer.from('k'), timestampMs: AT }, ORACLE_DEFAULTS);

describe.each(STREAMS)('a record of %s', (topic) => {
  const said = read({ topic, value: Buffer.from(EXAMPLES[topic]) });

  it('says the same in each unusual form', () => {
    const texts = Array.from({ length: 8 }, (_, which) => unusualForm(EXAMPLES[topic], which));
    for (const text of texts) expect(read({ topic, value: Buffer.from(text) })).toEqual(said);
    expect(new Set(texts).size).toBe(8);
  });

  it.each(Object.entries(BREAKS[topic]))('is invalid when broken: %s', (_, spoil) => {
    const broken = spoil(EXAMPLES[topic]);
    const value = typeof broken === 'string' ? Buffer.from(broken) : broken;
    expect(() => read({ topic, value })).toThrow(Invalid);
  });
});
