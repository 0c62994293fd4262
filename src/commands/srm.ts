/** `srm`: is this split as it should be? By hand from counts, from a file of looks, or of a running experiment. */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { asError, StreamError } from '../errors.ts';
import { Looks } from '../srm/looks-file.ts';
import { checkArms, parseCounts, parseRatio, parseShares, SplitInputError } from '../srm/split-input.ts';
import { type CommonOptions, type Host, printJson, settingsOf } from './host.ts';
import { countsReport, countsText } from './srm-counts.ts';
import { readReport, reportText } from './srm-experiment.ts';
import { looksReport, looksText } from './srm-looks.ts';

export interface SrmOptions extends CommonOptions {
  counts?: string;
  shares?: string;
  ratio?: string;
  looks?: string;
  experiment?: string;
  alpha: string;
}

/** Resolves with the exit code. Throws `bad_setting` for what is wrong with the input. */
export async function srmCommand(host: Host, options: SrmOptions): Promise<number> {
  const asked = [options.counts, options.looks, options.experiment].filter((given) => given !== undefined);
  if (asked.length !== 1) refuse('say what to look at: one of --counts, --looks or --experiment');
  if (options.shares !== undefined && options.ratio !== undefined) refuse('--shares and --ratio say the same thing: give one of them');
  try {
    const alpha = parseAlpha(options.alpha);
    const shares = sharesOf(options);
    if (options.experiment !== undefined) return await byExperiment(host, options, options.experiment);
    if (options.counts !== undefined) return byCounts(host, options, { shares, alpha });
    return await byLooks(host, options, { shares, alpha });
  } catch (error) {
    if (error instanceof SplitInputError) throw new StreamError('bad_setting', error.message, { cause: error });
    throw error;
  }
}

const refuse = (message: string): never => {
  throw new StreamError('bad_setting', `srm: ${message}.`);
};

function parseAlpha(text: string): number {
  const alpha = text.trim() === '' ? Number.NaN : Number(text);
  return alpha > 0 && alpha < 1 ? alpha : refuse(`--alpha must be a number between 0 and 1, but it is ${text}`);
}

function sharesOf({ shares, ratio }: SrmOptions): number[] | null {
  if (ratio !== undefined) return parseRatio(ratio);
  return shares === undefined ? null : parseShares(shares);
}

async function byExperiment(host: Host, options: SrmOptions, experimentId: string): Promise<number> {
  const report = await readReport(settingsOf(host, options), experimentId);
  if (report === null) {
    host.err.write(`exposure-stream: nothing is known of an experiment ${experimentId}: it has no units yet, or is not registered.\n`);
    return 1;
  }
  if (options.json) printJson(host, report);
  else host.out.write(reportText(report));
  return 0;
}

interface Expected {
  shares: number[] | null;
  alpha: number;
}

function byCounts(host: Host, options: SrmOptions, { shares, alpha }: Expected): number {
  const counts = parseCounts(options.counts);
  if (shares === null) return refuse('--counts needs the split that was meant: --shares .5,.5 or --ratio 1:1');
  checkArms(counts, shares);
  const report = countsReport(counts, shares, alpha);
  if (options.json) printJson(host, report);
  else host.out.write(countsText({ counts, shares, alpha, report }));
  return 0;
}

async function byLooks(host: Host, options: SrmOptions, expected: Expected): Promise<number> {
  const path = options.looks ?? '';
  const looks = new Looks(expected);
  const file = createReadStream(path, 'utf8');
  let number = 0;
  try {
    for await (const line of createInterface({ input: file, crlfDelay: Number.POSITIVE_INFINITY })) {
      number++;
      looks.line(line);
    }
  } catch (error) {
    if (error instanceof SplitInputError) throw new SplitInputError(`${path}, line ${number}: ${error.message}`, { cause: error });
    throw new StreamError('bad_setting', `${path} cannot be read: ${asError(error).message}.`, { cause: error });
  } finally {
    file.destroy();
  }
  if (options.json) for (const result of looks.results) printJson(host, looksReport(result));
  else host.out.write(looksText(looks.results, expected.alpha));
  return 0;
}
