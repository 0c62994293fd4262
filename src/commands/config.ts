/** `config`: an example file, or the settings in force. */
import { stringify } from 'yaml';
import { ENVIRONMENT, type Settings } from '../config.ts';
import { type CommonOptions, type Host, printJson, settingsOf } from './host.ts';
import { exampleFile } from './reference.ts';

const HIDDEN = '(hidden)';

export interface ConfigOptions extends CommonOptions {
  example?: boolean;
}

/** Returns the exit code. */
export function configCommand(host: Host, options: ConfigOptions): number {
  if (options.example) {
    if (options.json) printJson(host, { example: exampleFile() });
    else host.out.write(exampleFile());
    return 0;
  }
  const shown = withoutSecrets(settingsOf(host, options));
  if (options.json) printJson(host, shown);
  else host.out.write(stringify(shown));
  return 0;
}

function withoutSecrets({ env, ...file }: Settings): object {
  const environment = Object.entries(ENVIRONMENT).map(([name, setting]) => {
    const value = env[name as keyof typeof env];
    return [name, 'secret' in setting && value !== undefined ? HIDDEN : (value ?? null)];
  });
  return { environment: Object.fromEntries(environment), ...file };
}
