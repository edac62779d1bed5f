import { cpp } from '@codemirror/lang-cpp';
import { syntaxHighlighting } from '@codemirror/language';
import { lintGutter, setDiagnostics } from '@codemirror/lint';
import { MergeView } from '@codemirror/merge';
import { type Extension, Prec, RangeSet, StateEffect, StateField, type Text } from '@codemirror/state';
import { Decoration, type DecorationSet, EditorView, GutterMarker, gutter, keymap } from '@codemirror/view';
import { classHighlighter } from '@lezer/highlight';
import { basicSetup } from 'codemirror';
import type { Mark } from '../protocol.js';

/** Which of the two sources. */
export type Source = 'base' | 'fixed';

/** A line and the class that it has. */
export interface LineClass {
  readonly line: number;
  readonly name: string;
}

export interface EditorsOwner {
  onChange(source: Source): void;
  onBuild(): void;
  onBreakpoints(source: Source, lines: readonly number[]): void;
  /** The cursor is on this line. */
  onLine(source: Source, line: number): void;
}

const setLines = StateEffect.define<readonly LineClass[]>();

const lineClasses = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update: (value, { changes, effects, state }) => {
    let now = value.map(changes);
    for (const effect of effects) if (effect.is(setLines)) now = decorations(state.doc, effect.value);
    return now;
  },
  provide: (field) => EditorView.decorations.from(field),
});

function decorations(doc: Text, lines: readonly LineClass[]): DecorationSet {
  const ranges = lines
    .filter(({ line }) => line >= 1 && line <= doc.lines)
    .map(({ line, name }) => Decoration.line({ class: name }).range(doc.line(line).from));
  return Decoration.set(ranges, true);
}

const toggle = StateEffect.define<number>();
const dot = new (class extends GutterMarker {
  override toDOM(): Node {
    const element = document.createElement('div');
    element.className = 'breakpoint';
    return element;
  }
})();

const breakpoints = StateField.define<RangeSet<GutterMarker>>({
  create: () => RangeSet.empty,
  update: (value, { changes, effects }) => {
    let now = value.map(changes);
    for (const effect of effects) {
      if (!effect.is(toggle)) continue;
      const at = effect.value;
      let isSet = false;
      now.between(at, at, () => {
        isSet = true;
      });
      now = isSet
        ? now.update({ filter: (from) => from !== at })
        : now.update({ add: [dot.range(at)], sort: true });
    }
    return now;
  },
});

/** Base and fixed source side by side. */
export class Editors {
  readonly #view: MergeView;
  readonly #classes: Record<Source, readonly LineClass[]> = { base: [], fixed: [] };
  readonly #linked: Record<Source, readonly LineClass[]> = { base: [], fixed: [] };

  constructor(parent: HTMLElement, owner: EditorsOwner) {
    this.#view = new MergeView({
      a: { extensions: extensionsOf('base', owner) },
      b: { extensions: extensionsOf('fixed', owner) },
      parent,
      gutter: true,
    });
  }

  text(source: Source): string {
    return this.#editor(source).state.doc.toString();
  }

  setText(source: Source, text: string): void {
    const editor = this.#editor(source);
    editor.dispatch({ changes: { from: 0, to: editor.state.doc.length, insert: text } });
  }

  /** What stands where: classes of lines, for as long as nothing else is said. */
  setLines(source: Source, lines: readonly LineClass[]): void {
    this.#classes[source] = lines;
    this.#show(source);
  }

  /** The line that belongs to what the pointer is on. */
  link(source: Source, line: number | undefined): void {
    this.#linked[source] = line === undefined ? [] : [{ line, name: 'linked' }];
    this.#show(source);
  }

  setMarks(marks: readonly Mark[]): void {
    for (const source of ['base', 'fixed'] as const) {
      const editor = this.#editor(source);
      const { doc } = editor.state;
      const own = marks.filter(({ side, line }) => side === source && line >= 1 && line <= doc.lines);
      const diagnostics = own.map(({ line, severity, message }) => {
        const { from, to } = doc.line(line);
        return { from, to, severity, message };
      });
      editor.dispatch(setDiagnostics(editor.state, diagnostics));
    }
  }

  reveal(source: Source, line: number): void {
    const editor = this.#editor(source);
    if (line < 1 || line > editor.state.doc.lines) return;
    const { from } = editor.state.doc.line(line);
    editor.dispatch({ effects: EditorView.scrollIntoView(from, { y: 'nearest', yMargin: 60 }) });
  }

  focus(source: Source, line: number): void {
    const editor = this.#editor(source);
    const { from } = editor.state.doc.line(Math.min(Math.max(1, line), editor.state.doc.lines));
    editor.dispatch({ selection: { anchor: from }, scrollIntoView: true });
    editor.focus();
  }

  #show(source: Source): void {
    const lines = [...this.#classes[source], ...this.#linked[source]];
    this.#editor(source).dispatch({ effects: setLines.of(lines) });
  }

  #editor(source: Source): EditorView {
    return source === 'base' ? this.#view.a : this.#view.b;
  }
}

function extensionsOf(source: Source, owner: EditorsOwner): Extension {
  return [
    breakpoints,
    gutter({
      class: 'breakpoints',
      markers: (view) => view.state.field(breakpoints),
      domEventHandlers: {
        mousedown: (view, { from }) => {
          view.dispatch({ effects: toggle.of(view.state.doc.lineAt(from).from) });
          owner.onBreakpoints(source, linesOf(view));
          return true;
        },
      },
    }),
    basicSetup,
    cpp(),
    lintGutter(),
    syntaxHighlighting(classHighlighter),
    lineClasses,
    Prec.highest(
      keymap.of([
        {
          key: 'Mod-Enter',
          run: () => {
            owner.onBuild();
            return true;
          },
        },
      ]),
    ),
    EditorView.contentAttributes.of({
      'aria-label': source === 'base' ? 'Source as it is' : 'Source as it shall be',
    }),
    EditorView.updateListener.of(({ docChanged, selectionSet, view }) => {
      if (docChanged) owner.onChange(source);
      else if (selectionSet)
        owner.onLine(source, view.state.doc.lineAt(view.state.selection.main.head).number);
    }),
  ];
}

function linesOf({ state }: EditorView): number[] {
  const lines: number[] = [];
  const marks = state.field(breakpoints).iter();
  for (; marks.value !== null; marks.next()) lines.push(state.doc.lineAt(marks.from).number);
  return [...new Set(lines)];
}
