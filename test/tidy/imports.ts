import { dirname, join } from 'node:path/posix';
import ts from 'typescript';
import { type Finding, lineOf } from './ambient.ts';

interface Arrow {
  from: string;
  /** Folders (ending in `/`) and files of ours; everything else of ours is forbidden. Packages are not looked at. */
  to: readonly string[];
  /** What may be imported for its types only. */
  types?: readonly string[];
}

/** Which way imports may point. Folders that are not listed may import anything in src. */
export const ARROWS: readonly Arrow[] = [
  { from: 'src/operators/', to: ['src/operators/', 'src/topology/types.ts', 'src/state/', 'src/stats/', 'src/gate/', 'src/errors.ts'] },
  { from: 'src/stats/', to: ['src/stats/'] },
  { from: 'src/gate/', to: ['src/gate/', 'src/stats/'] },
  { from: 'src/state/', to: ['src/state/', 'src/topology/types.ts', 'src/errors.ts'] },
  {
    from: 'src/sinks/',
    to: ['src/sinks/', 'src/gate/', 'src/state/', 'src/topology/types.ts', 'src/errors.ts'],
    types: ['src/config/', 'src/config.ts'],
  },
  { from: 'src/', to: ['src/', 'reconcile/', 'package.json'] },
  { from: 'reconcile/', to: ['reconcile/', 'src/'] },
];

/** Imports of ours that point the wrong way. `path` is relative to the repository. */
export function findWrongImports(path: string, source: ts.SourceFile): Finding[] {
  const arrow = ARROWS.find(({ from }) => path.startsWith(from));
  if (!arrow) return [];
  return importsOf(source).flatMap(({ specifier, typeOnly, node }) => {
    if (!specifier.startsWith('.')) return [];
    const target = join(dirname(path), specifier);
    const allowed = typeOnly ? [...arrow.to, ...(arrow.types ?? [])] : arrow.to;
    if (allowed.some((place) => (place.endsWith('/') ? target.startsWith(place) : target === place))) return [];
    return [{ kind: 'import', line: lineOf(source, node), text: `${arrow.from} must not import ${target}` }];
  });
}

interface Import {
  specifier: string;
  typeOnly: boolean;
  node: ts.Node;
}

/** Static imports, re-exports, `import()` of a literal, and types taken by `import('…')`. */
function importsOf(source: ts.SourceFile): Import[] {
  const found: Import[] = [];
  const add = (node: ts.Node, target: ts.Node | undefined, typeOnly: boolean): void => {
    if (target && ts.isStringLiteralLike(target)) found.push({ specifier: target.text, typeOnly, node });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) add(node, node.moduleSpecifier, node.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword);
    if (ts.isExportDeclaration(node)) add(node, node.moduleSpecifier, node.isTypeOnly);
    if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) add(node, node.arguments[0], false);
    if (ts.isImportTypeNode(node)) add(node, ts.isLiteralTypeNode(node.argument) ? node.argument.literal : undefined, true);
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}
