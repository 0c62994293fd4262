/** The reference pages and the example file, made from the tables that the program itself uses. */
import { z } from 'zod';
import { ENVIRONMENT, FILE_SCHEMA } from '../config.ts';
import { ERRORS } from '../errors.ts';
import { METRICS } from '../metrics.ts';
import { REASON_TEXTS } from '../operators/decode-reasons.ts';

/** As JSON Schema has it. */
interface Node {
  type?: string;
  description?: string;
  default?: unknown;
  properties?: Record<string, Node>;
  enum?: string[];
  minimum?: number;
  exclusiveMinimum?: number;
  maximum?: number;
}

const jsonSchemaOf = (schema: z.ZodType): Node => z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as Node;

/** A YAML file with every setting at its default and what it means; loading it changes nothing. */
export function exampleFile(): string {
  const head = '# Settings of exposure-stream (CONFIG_FILE). All are optional; these are the defaults. Times are in milliseconds.\n';
  return `${head}${yamlOf(jsonSchemaOf(FILE_SCHEMA), '')}`;
}

function yamlOf({ properties = {} }: Node, indent: string): string {
  const entries = Object.entries(properties).map(([name, node]) => {
    const comment = node.description ? `${indent}# ${node.description}\n` : '';
    if (node.properties === undefined) return `${comment}${indent}${name}: ${JSON.stringify(node.default)}\n`;
    return `${indent === '' ? '\n' : ''}${comment}${indent}${name}:\n${yamlOf(node, `${indent}  `)}`;
  });
  return entries.join('');
}

/** Page by file name. */
export const referencePages = (): Record<string, string> => ({
  'settings.md': settingsPage(),
  'metrics.md': page('Metrics', 'Every name begins with `exposure_stream_`.', ['Metric', 'Type', 'Labels', 'Meaning'], metricRows()),
  'errors.md': page(
    'Errors',
    'The `code` of a log line or a message, and what the program does.',
    ['Code', 'Then', 'Meaning'],
    errorRows(),
  ),
  'invalid-reasons.md': page(
    'Reasons of invalid records',
    'The header `reason` on `.invalid`, and the label of `invalid_records_total`.',
    ['Reason', 'Meaning'],
    Object.entries(REASON_TEXTS).map(([reason, says]) => [code(reason), says]),
  ),
});

const ACTIONS = {
  retry: 'tries again; offsets stand still',
  reopen: 'the task is rebuilt from its last commit',
  stop: 'the task stops, the others go on',
  exit_1: 'the process ends with 1',
  exit_2: 'the process ends with 2',
} as const;

const errorRows = (): string[][] => Object.entries(ERRORS).map(([name, { action, says }]) => [code(name), ACTIONS[action], says]);

const metricRows = (): string[][] =>
  Object.entries(METRICS).map(([name, { type, labels, says }]) => [code(name), type, labels.map(code).join(' '), says]);

function settingsPage(): string {
  const environment = Object.entries(ENVIRONMENT).map(([name, setting]) => {
    const secret = 'secret' in setting ? ` A secret: never shown, and may come from a file (\`${name}_FILE\`).` : '';
    return [
      code(name),
      valueText({ ...jsonSchemaOf(setting.schema), default: setting.schema.safeParse(undefined).data }),
      `${setting.says}${secret}`,
    ];
  });
  const columns = ['Setting', 'Default', 'Meaning'];
  return [
    page('Settings', 'From the environment. An empty value counts as unset.', columns, environment),
    '\n## CONFIG_FILE\n\nYAML; unknown names are refused. `exposure-stream config --example` prints it.\n\n',
    table(columns, fileRows(jsonSchemaOf(FILE_SCHEMA), '')),
  ].join('');
}

const fileRows = ({ properties = {} }: Node, prefix: string): string[][] =>
  Object.entries(properties).flatMap(([name, node]) => {
    const path = `${prefix}${name}`;
    if (node.properties !== undefined) return fileRows(node, `${path}.`);
    return [[code(path), valueText(node), node.description ?? (name === 'topic' ? 'Input topic.' : '')]];
  });

function valueText(node: Node): string {
  const initial =
    node.default === undefined ? '(unset)' : code(typeof node.default === 'string' ? node.default : JSON.stringify(node.default));
  return node.enum === undefined ? initial : `${initial} of ${node.enum.map(code).join(' ')}`;
}

const code = (text: string): string => (text === '' ? '(empty)' : `\`${text}\``);

const page = (title: string, says: string, columns: readonly string[], rows: readonly string[][]): string =>
  `# ${title}\n\nMade by \`node scripts/reference.ts\`; do not edit. ${says}\n\n${table(columns, rows)}`;

const table = (columns: readonly string[], rows: readonly string[][]): string =>
  [columns, columns.map(() => '---'), ...rows.map((row) => row.map((cell) => cell.replaceAll('|', '\\|').replaceAll('<', '\\<')))]
    .map((cells) => `| ${cells.join(' | ')} |\n`)
    .join('');
