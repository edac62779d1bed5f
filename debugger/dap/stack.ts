import { basename } from 'node:path';
import * as v from 'valibot';
import type { SourceFrame } from '../../image/index.js';
import type { LoadedImage } from '../../loader/index.js';
import { sourceFrames } from '../source.js';
import type { View } from '../view.js';
import { type DapHandler, handler, referenceTo } from './handler.js';
import type { KnownFrame, StopScope } from './scope.js';
import { scopesOf, setRegister } from './variables.js';

export const stackRequests: Readonly<Record<string, DapHandler>> = {
  threads: ({ scope: { view } }) => ({
    body: {
      threads: view.kernel.threads.map(({ id, name, processor, state }) => ({
        id,
        name: `${name} (${processor === undefined ? state : `processor ${processor.index}`})`,
      })),
    },
  }),
  stackTrace: handler(
    v.object({
      threadId: v.number(),
      startFrame: v.optional(v.number()),
      levels: v.optional(v.number()),
    }),
    ({ threadId, startFrame = 0, levels = 0 }, { scope }) => {
      const view = scope.threadView(threadId);
      const all = view.stack().flatMap((frame, index) => framesOf(scope, { view, frame, index }));
      const end = levels === 0 ? all.length : startFrame + levels;
      return { body: { stackFrames: all.slice(startFrame, end), totalFrames: all.length } };
    },
  ),
  scopes: handler(v.object({ frameId: v.number() }), ({ frameId }, { scope }) => ({
    body: { scopes: scopesOf(scope, scope.frame(frameId)) },
  })),
  variables: handler(
    v.object({
      variablesReference: v.number(),
      start: v.optional(v.number()),
      count: v.optional(v.number()),
    }),
    ({ variablesReference, start = 0, count }, { scope }) => {
      const all = scope.variables(variablesReference);
      return { body: { variables: all.slice(start, count === undefined ? undefined : start + count) } };
    },
  ),
  setVariable: handler(
    v.object({ variablesReference: v.number(), name: v.string(), value: v.string() }),
    ({ name, value }, { scope }) => ({
      body: { value: setRegister(scope.view, name, value) },
      isChanged: true,
    }),
  ),
  modules: ({ scope: { view } }) => ({
    body: {
      modules: view.images.map((image) => ({
        id: image.moduleName,
        name: image.baseDllName,
        addressRange: `${view.format(image.dllBase)}-${view.format(image.dllBase + BigInt(image.sizeOfImage))}`,
        version: image.hotPatchState,
        symbolStatus: image.symbols.lines === undefined ? 'no source lines' : 'source lines',
        ...(image.symbols.lines?.pdbFile === undefined
          ? {}
          : { symbolFilePath: image.symbols.lines.pdbFile }),
      })),
      totalModules: view.images.length,
    },
  }),
};

/** What was inlined at a place stands above it as frames of its own. */
function framesOf(scope: StopScope, known: KnownFrame): object[] {
  const { view, frame, index } = known;
  const { pc, image, text } = frame;
  // A frame that is in a call stands behind it.
  const source = sourceFrames(image, index === 0 ? pc : pc - 1n);
  const mark = image?.loadReason === 'PatchImage' ? ' (hotpatch)' : '';
  const common = {
    instructionPointerReference: referenceTo(pc),
    ...(image === undefined ? {} : { moduleId: image.moduleName }),
  };
  if (source.length === 0)
    return [
      {
        ...common,
        id: scope.addFrame(known),
        name: `${text}${mark}`,
        line: 0,
        column: 0,
        presentationHint: 'subtle',
      },
    ];
  return source.map((line) => ({
    ...common,
    id: scope.addFrame(known),
    name: line.inlinee === undefined ? `${text}${mark}` : `${line.inlinee} (inlined)${mark}`,
    source: sourceOf(view, image, line),
    line: line.line,
    column: Math.max(1, line.column),
  }));
}

/** The file as it lies here, or by the name that the PDB has. */
export function sourceOf(view: View, image: LoadedImage | undefined, { file }: SourceFrame): object {
  const lines = image?.symbols.lines;
  const text = lines === undefined ? undefined : view.session.sources.text(file, lines);
  const isOther =
    text?.isSame === false
      ? { presentationHint: 'deemphasize', origin: 'differs from what was compiled' }
      : {};
  const path = text?.path ?? file.name;
  return { name: basename(path.replaceAll('\\', '/')), path, ...isOther };
}
