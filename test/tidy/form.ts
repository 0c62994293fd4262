import ts from 'typescript';
import { type Finding, lineOf } from './ambient.ts';

export const MAX_LINES = 300;

/** Default exports, the type `any`, work left for later, and length. */
export function findForm(source: ts.SourceFile): Finding[] {
  const findings: Finding[] = [];
  const add = (kind: string, node: ts.Node): void => {
    findings.push({ kind, line: lineOf(source, node), text: node.getText(source).slice(0, 60) });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isExportAssignment(node) || node.kind === ts.SyntaxKind.DefaultKeyword) add('default export', node);
    if (ts.isExportSpecifier(node) && node.name.text === 'default') add('default export', node);
    if (node.kind === ts.SyntaxKind.AnyKeyword) add('any', node);
    ts.forEachChild(node, visit);
  };
  visit(source);
  const lines = source.text.trimEnd().split('\n');
  lines.forEach((text, index) => {
    if (/\b(TODO|FIXME|XXX)\b/.test(text)) findings.push({ kind: 'left for later', line: index + 1, text: text.trim().slice(0, 60) });
  });
  if (lines.length > MAX_LINES)
    findings.push({ kind: 'too long', line: lines.length, text: `${lines.length} lines, at most ${MAX_LINES}` });
  return findings;
}
