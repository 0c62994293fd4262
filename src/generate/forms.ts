/** The legal but unusual ways to write a record's JSON. Each keeps what it says. */

/** A record's fields in order, each value as JSON text. */
export type Fields = [name: string, json: string][];

/** Fields of a flat or nested JSON object text. */
export const fieldsOf = (text: string): Fields =>
  Object.entries(JSON.parse(text) as Record<string, unknown>).map(([name, value]) => [name, JSON.stringify(value)]);

export const join = (fields: Fields): string => `{${fields.map(([name, json]) => `${JSON.stringify(name)}:${json}`).join(',')}}`;

const isTime = (name: string): boolean => name.endsWith('_ts');

const pretty = (fields: Fields): string =>
  ` \r\n\t{\n${fields.map(([name, json]) => `  ${JSON.stringify(name)} : ${json}`).join(' ,\n')}\n}\n`;

const reversed = (fields: Fields): string => join([...fields].reverse());

const withUnknownNames = (fields: Fields): string =>
  join([
    ['__proto__', '{"event_id":"x"}'],
    ['constructor', 'null'],
    ['', '1e400'],
    ...fields,
    ['nested', '[[{"event_id":[]}],"}"]'],
    ['Event_Id', '7'],
  ]);

const escaped = (fields: Fields): string =>
  `{${fields.map(([name, json]) => `${escapeText(name)}:${json.startsWith('"') ? escapeText(JSON.parse(json) as string) : json}`).join(',')}}`;

const escapeText = (text: string): string => {
  let out = '"';
  for (let i = 0; i < text.length; i++) out += `\\u${text.charCodeAt(i).toString(16).padStart(4, '0')}`;
  return `${out}"`;
};

/** RFC 3339 with an offset and digits after the milliseconds, which readers cut. */
const isoTimes = (fields: Fields): string =>
  join(fields.map(([name, json], i) => [name, isTime(name) ? JSON.stringify(iso(Number(json), i % 3)) : json]));

const iso = (atMs: number, variety: number): string => {
  if (variety === 0) return new Date(atMs).toISOString();
  if (variety === 1) return new Date(atMs).toISOString().replace('Z', '987Z');
  return new Date(atMs + 345 * 60_000).toISOString().replace('Z', '+05:45');
};

const exponents = (fields: Fields): string =>
  join(
    fields.map(([name, json], i) => [
      name,
      isTime(name) || name === 'spend_micros' ? (i % 2 === 0 ? `${json}.0` : scientific(json)) : json,
    ]),
  );

const scientific = (digits: string): string => `${digits[0]}.${digits.slice(1) || '0'}E+${digits.length - 1}`;

const withNulls = (fields: Fields): string => {
  const present = new Set(fields.map(([name]) => name));
  const optional = present.has('campaign_id') ? ['surface', 'is_valid', 'user_id'] : ['allocation_version', 'assigned_ts', 'attributes'];
  return join([...optional.filter((name) => !present.has(name)).map((name): [string, string] => [name, 'null']), ...fields]);
};

const repeatedNames = (fields: Fields): string => join([['event_id', '"first"'], ['event_ts', '17'], ...fields]);

const FORMS = [pretty, reversed, withUnknownNames, escaped, isoTimes, exponents, withNulls, repeatedNames];

/** The text in one of the unusual forms. */
export const unusualForm = (text: string, which: number): string => FORMS[which % FORMS.length](fieldsOf(text));
