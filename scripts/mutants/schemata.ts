import ts from 'typescript';

/** One way in which a source file can be wrong. */
export interface Mutant {
  readonly id: number;
  readonly file: string;
  readonly line: number;
  /** `leave out`, `always`, `never`, `< becomes <=`… */
  readonly change: string;
  /** The code that is changed, on one line. */
  readonly code: string;
}

export interface MutatedSource {
  readonly text: string;
  readonly mutants: readonly Mutant[];
}

interface Insertion {
  readonly at: number;
  /** Text in front of outer nodes comes first, text behind inner nodes comes first. */
  readonly order: number;
  readonly text: string;
  /** Replaces so many characters. */
  readonly removes?: number;
}

/** Statements that only tell what happens. */
const TELLS =
  /^(yield )?((this\.)?#?(context\.|operation\.|context\.operation\.|server\.engine\.|engine\.|kernel\.events\.)?#?(tell\w*|emit))\(/;
const PREDICATE_METHODS = new Set(['filter', 'some', 'every', 'find', 'findLast', 'findIndex']);

const COMPARISONS: Readonly<Record<string, readonly [name: string, change: string]>> = {
  '<': ['lt', '< becomes <='],
  '<=': ['le', '<= becomes <'],
  '>': ['gt', '> becomes >='],
  '>=': ['ge', '>= becomes >'],
  '===': ['eq', '=== becomes !=='],
  '!==': ['ne', '!== becomes ==='],
};
const ARITHMETIC: Readonly<Record<string, readonly [name: string, change: string]>> = {
  '+': ['add', '+ becomes -'],
  '-': ['sub', '- becomes +'],
};

/**
 * Puts every mutant of a file into it at once, each behind a switch `__m(id)`: leaving a statement out, deciding a
 * condition, moving a bound, turning an addition round, dropping one side of a logical expression, emptying a function
 * that takes something back. One compilation serves them all.
 */
export function mutate(file: string, text: string, firstId: number): MutatedSource {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  const insertions: Insertion[] = [];
  const mutants: Mutant[] = [];
  let depth = 0;

  const add = (node: ts.Node, change: string): string => {
    const id = firstId + mutants.length;
    const line = source.getLineAndCharacterOfPosition(node.getStart()).line + 1;
    const code = node.getText().replace(/\s+/g, ' ').slice(0, 100);
    mutants.push({ id, file, line, change, code });
    return `__m(${id})`;
  };
  const wrap = (node: ts.Node, before: string, after: string): void => {
    insertions.push({ at: node.getStart(), order: depth, text: before });
    insertions.push({ at: node.getEnd(), order: -depth, text: after });
  };
  const decided = new Set<ts.Node>();
  const decide = (node: ts.Expression): void => {
    decided.add(node);
    const [never, always] = [add(node, 'never'), add(node, 'always')];
    wrap(node, `(${never}?false:${always}?true:(`, '))');
  };

  const visit = (node: ts.Node): void => {
    if (ts.isTypeNode(node) || ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node)) return;
    if (ts.isImportDeclaration(node) || ts.isTemplateExpression(node)) return;
    if (ts.isGetAccessorDeclaration(node) && node.name.getText() === 'text') return;
    if (ts.isPropertyAssignment(node) && ['text', 'message', 'hint'].includes(node.name.getText())) return;
    depth += 1;
    mutateNode(node);
    ts.forEachChild(node, visit);
    depth -= 1;
  };

  const mutateNode = (node: ts.Node): void => {
    if (ts.isExpressionStatement(node)) mutateStatement(node, node.expression.getText());
    else if (ts.isForOfStatement(node) || ts.isForStatement(node) || ts.isWhileStatement(node))
      mutateStatement(node, '');
    else if (ts.isIfStatement(node) || ts.isConditionalExpression(node))
      decide(ts.isIfStatement(node) ? node.expression : node.condition);
    else if (ts.isArrowFunction(node) && !ts.isBlock(node.body)) mutateArrow(node, node.body);
    else if (ts.isBinaryExpression(node)) mutateBinary(node);
    else if (ts.isVariableDeclarationList(node) && (node.flags & ts.NodeFlags.Using) === ts.NodeFlags.Using)
      for (const { initializer } of node.declarations)
        if (initializer !== undefined) {
          const mutant = add(initializer, 'leave out');
          wrap(initializer, `(${mutant}?{[Symbol.dispose](){}}:(`, '))');
        }
  };

  const mutateStatement = (node: ts.Statement, expression: string): void => {
    if (TELLS.test(expression) || expression.startsWith('super(')) return;
    wrap(node, `{if(!${add(node, 'leave out')}){`, '}}');
  };

  const mutateArrow = (arrow: ts.ArrowFunction, body: ts.ConciseBody): void => {
    const { parent } = arrow;
    const method =
      ts.isCallExpression(parent) && ts.isPropertyAccessExpression(parent.expression)
        ? parent.expression.name.text
        : '';
    if (PREDICATE_METHODS.has(method)) decide(body as ts.Expression);
    else if (ts.isCallExpression(body)) wrap(body, `(${add(body, 'leave out')}?undefined:(`, '))');
  };

  const mutateBinary = (node: ts.BinaryExpression): void => {
    const operator = node.operatorToken.getText();
    const replacement = COMPARISONS[operator] ?? ARITHMETIC[operator];
    const isEquality = operator === '===' || operator === '!==';
    if (isEquality && decided.has(node)) return;
    if (replacement !== undefined && !isText(node)) {
      const [name, change] = replacement;
      const id = firstId + mutants.length;
      add(node, change);
      wrap(node, `__m.${name}(${id},(`, '))');
      insertions.push({ at: node.operatorToken.getStart(), order: 0, text: '),(', removes: operator.length });
    } else if (operator === '&&' || operator === '||') {
      for (const side of [node.left, node.right]) {
        const mutant = add(side, `leave out of ${operator}`);
        wrap(side, operator === '&&' ? `(${mutant}||(` : `(!${mutant}&&(`, '))');
      }
    }
  };

  visit(source);
  return { text: apply(text, insertions), mutants };
}

/** Text put together, not numbers added. */
function isText(node: ts.BinaryExpression): boolean {
  return (
    [node.left, node.right].some(
      (side) =>
        ts.isTemplateExpression(side) ||
        ts.isStringLiteralLike(side) ||
        (ts.isBinaryExpression(side) && isText(side)),
    ) && ['+', '-'].includes(node.operatorToken.getText())
  );
}

function apply(text: string, insertions: readonly Insertion[]): string {
  const sorted = [...insertions].sort((a, b) => a.at - b.at || a.order - b.order);
  let result = '';
  let at = 0;
  for (const { at: position, text: inserted, removes = 0 } of sorted) {
    result += text.slice(at, position) + inserted;
    at = position + removes;
  }
  return result + text.slice(at);
}
