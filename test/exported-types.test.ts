import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import { ROOMS } from '../scripts/setup/rooms.js';

const root = fileURLToPath(new URL('../', import.meta.url));
/** Those that the package exports. */
const PUBLIC = ROOMS.filter((room) => room !== 'workbench' && room !== 'cli');

const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), (path) => ts.sys.readFile(path));
const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
const program = ts.createProgram({
  rootNames: PUBLIC.map((room) => join(root, room, 'index.ts')),
  options: { ...options, noEmit: true, skipLibCheck: true },
});
const checker = program.getTypeChecker();

const followed = (symbol: ts.Symbol): ts.Symbol =>
  (symbol.flags & ts.SymbolFlags.Alias) === 0 ? symbol : checker.getAliasedSymbol(symbol);

const exportsOf = (room: string): ts.Symbol[] => {
  const file = program.getSourceFile(join(root, room, 'index.ts'));
  const module = file && checker.getSymbolAtLocation(file);
  return module === undefined ? [] : checker.getExportsOfModule(module).map(followed);
};

const exported = new Set(PUBLIC.flatMap(exportsOf));

/** What callers cannot name: private members, the bodies of functions, values. */
function isHidden(node: ts.Node): boolean {
  if (ts.isBlock(node) || ts.isPrivateIdentifier(node) || ts.isConstructorDeclaration(node)) return true;
  if (ts.getJSDocTags(node).some(({ tagName }) => tagName.text === 'internal')) return true;
  if (ts.isClassElement(node) && node.name !== undefined && ts.isPrivateIdentifier(node.name)) return true;
  if (!ts.canHaveModifiers(node)) return false;
  const hiding = [ts.SyntaxKind.PrivateKeyword, ts.SyntaxKind.ProtectedKeyword];
  return ts.getModifiers(node)?.some(({ kind }) => hiding.includes(kind)) ?? false;
}

/** The names of types that a declaration speaks of, as far as the repository declares them. */
function* typesIn(node: ts.Node): Generator<ts.Symbol> {
  if (isHidden(node) && !ts.isParameter(node)) return;
  const name = ts.isTypeReferenceNode(node)
    ? node.typeName
    : ts.isExpressionWithTypeArguments(node) && ts.isIdentifier(node.expression)
      ? node.expression
      : undefined;
  const symbol = name && checker.getSymbolAtLocation(name);
  if (symbol !== undefined) yield followed(symbol);
  const initializer =
    ts.isVariableDeclaration(node) || ts.isPropertyDeclaration(node) ? node.initializer : undefined;
  for (const child of node.getChildren()) if (child !== initializer) yield* typesIn(child);
}

const isOfRepository = (symbol: ts.Symbol): boolean =>
  (symbol.flags & ts.SymbolFlags.TypeParameter) === 0 &&
  (symbol.declarations?.some((declaration) => {
    const path = relative(root, declaration.getSourceFile().fileName);
    return PUBLIC.includes(path.split('/')[0] ?? '');
  }) ??
    false);

describe.each(PUBLIC)('the room %s', (room) => {
  it('exports every type that its public signatures name, or the room does that declares it', () => {
    const symbols = exportsOf(room);
    expect(symbols.length).toBeGreaterThan(0);
    const missing = symbols.flatMap((symbol) =>
      (symbol.declarations ?? [])
        .flatMap((declaration) => [...typesIn(declaration)])
        .filter((type) => isOfRepository(type) && !exported.has(type))
        .map((type) => `${symbol.name}: ${type.name}`),
    );
    expect([...new Set(missing)].sort()).toEqual([]);
  });
});
