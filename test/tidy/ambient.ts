import ts from 'typescript';

/** Time, chance and surroundings that an operator must be given instead of reaching for them. */
export type Ambient = 'clock' | 'chance' | 'timer' | 'environment' | 'signal' | 'console';

export interface Finding {
  kind: string;
  line: number;
  text: string;
}

const PROPERTIES: Record<string, Ambient> = {
  'Date.now': 'clock',
  'performance.now': 'clock',
  'process.hrtime': 'clock',
  'Math.random': 'chance',
  'process.env': 'environment',
  'process.on': 'signal',
  'process.once': 'signal',
  'process.exit': 'signal',
};

const TIMERS = new Set(['setTimeout', 'setInterval', 'setImmediate']);
const TIMER_MODULES = new Set(['node:timers', 'node:timers/promises', 'timers', 'timers/promises']);

/** Every place where the source reaches for something ambient. Comments and strings do not count. */
export function findAmbient(source: ts.SourceFile): Finding[] {
  const findings: Finding[] = [];
  const visit = (node: ts.Node): void => {
    const kind = ambientKind(node);
    if (kind) findings.push({ kind, line: lineOf(source, node), text: node.getText(source).slice(0, 60) });
    ts.forEachChild(node, visit);
  };
  visit(source);
  return findings;
}

export const lineOf = (source: ts.SourceFile, node: ts.Node): number =>
  source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1;

function ambientKind(node: ts.Node): Ambient | undefined {
  if (ts.isPropertyAccessExpression(node)) return PROPERTIES[`${ownerName(node.expression)}.${node.name.text}`];
  if (ts.isElementAccessExpression(node) && ts.isStringLiteral(node.argumentExpression)) {
    return PROPERTIES[`${ownerName(node.expression)}.${node.argumentExpression.text}`];
  }
  if (ts.isNewExpression(node)) return isNamed(node.expression, 'Date') && !node.arguments?.length ? 'clock' : undefined;
  if (ts.isCallExpression(node) && isNamed(node.expression, 'Date')) return 'clock';
  if (ts.isImportDeclaration(node)) return importKind(node);
  if (!ts.isIdentifier(node) || isOnlyAName(node)) return undefined;
  if (TIMERS.has(node.text)) return 'timer';
  return node.text === 'console' ? 'console' : undefined;
}

function importKind({ moduleSpecifier, importClause }: ts.ImportDeclaration): Ambient | undefined {
  const module = (moduleSpecifier as ts.StringLiteral).text;
  if (TIMER_MODULES.has(module)) return 'timer';
  if (module !== 'node:process' && module !== 'process') return undefined;
  const names = importClause?.namedBindings;
  const harmless =
    names &&
    ts.isNamedImports(names) &&
    names.elements.every(({ name, propertyName }) => !PROPERTIES[`process.${(propertyName ?? name).text}`]);
  return harmless ? undefined : 'environment';
}

/** `Date` of `Date.now` and of `globalThis.Date.now`. */
function ownerName(node: ts.Expression): string {
  if (ts.isIdentifier(node)) return node.text;
  return ts.isPropertyAccessExpression(node) && isNamed(node.expression, 'globalThis') ? node.name.text : '';
}

const isNamed = (node: ts.Expression, name: string): boolean => ownerName(node) === name;

/** Not the global but a member, a key, a parameter or a type that is called the same. */
function isOnlyAName(node: ts.Identifier): boolean {
  const { parent } = node;
  if (ts.isPropertyAccessExpression(parent) && parent.name === node) return !isNamed(parent.expression, 'globalThis');
  if (ts.isParameter(parent) || ts.isPropertyAssignment(parent) || ts.isBindingElement(parent)) return parent.name === node;
  return ts.isTypeElement(parent) || ts.isClassElement(parent) || ts.isQualifiedName(parent) || ts.isTypeQueryNode(parent);
}
