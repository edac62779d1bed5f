import { Command } from 'commander';
import { captureKernel, captureProcess, type MemoryCapture } from '../debugger/index.js';
import { type Lab, type LabEvent, runScenario, type Scenario } from '../lab/index.js';
import type { Process } from '../loader/index.js';
import { describeReport, reportOf, UsageError } from './errors.js';
import { assertOutput, writeOutput } from './files.js';
import { wholeNumber } from './numbers.js';
import { EXIT, note, print, printJson } from './output.js';
import { loadScenario } from './scenario-file.js';

interface DumpFlags {
  readonly at: string;
  readonly out: string;
  readonly of?: string;
  readonly seed?: number;
  readonly json?: boolean;
}

export function dumpCommand(): Command {
  return new Command('dump')
    .description(
      'Runs a scenario and writes the memory of a process (minidump) or of the kernel at an event, with what a tool should find in it.',
    )
    .argument('<scenario>', 'a file whose default export is defineScenario(…)')
    .requiredOption('--out <file>', 'the dump; FILE.json says what is in it')
    .option(
      '--at <event>',
      'kind of event (applied, reverted…), kind#2 for its second time, a part of its text, or end',
      'end',
    )
    .option(
      '--of <what>',
      'kernel, or name or number of a process; default: the first process with images, else kernel',
    )
    .option('--seed <n>', 'decides how processors interleave', wholeNumber)
    .option('--json', 'one JSON document on stdout')
    .addHelpText(
      'after',
      '\nExample:\n  hotpatch dump scenarios/dll-in-many-processes.ts --at applied --out patched.dmp\n  hotpatch scan patched.dmp',
    )
    .action(async (file: string, flags: DumpFlags) => {
      process.exitCode = await dump(file, flags);
    });
}

async function dump(file: string, { at, out, of, seed, json }: DumpFlags): Promise<number> {
  const scenario = await loadScenario(file);
  const description = `${out}.json`;
  for (const path of [out, description]) {
    assertOutput(path, [file]);
  }
  const { capture, result, kinds } = await run(scenario, file, { at, of, seed });
  if (capture === undefined) {
    if (result.error !== undefined) throw result.error;
    throw new UsageError(
      kinds.size === 0
        ? `${file}: the scenario boots no machine, so that there is no memory to dump`
        : `--at ${at}: this does not happen in ${file}; what does: ${[...kinds].sort().join(', ')}`,
    );
  }
  writeOutput(out, capture.bytes);
  writeOutput(description, `${JSON.stringify(capture.description, undefined, 2)}\n`);
  const failed = result.error === undefined ? undefined : reportOf(result.error);
  const { kind, modules, threads, memory, bytes } = capture;
  if (json === true)
    printJson({
      out,
      description,
      kind,
      of: capture.of,
      modules,
      threads,
      memory,
      bytes: bytes.length,
      ...(result.error === undefined ? {} : { error: failed ?? { message: String(result.error) } }),
    });
  else
    print(
      `${out}: ${kind === 'minidump' ? 'minidump' : 'raw memory'} of ${capture.of}, ${modules} modules, ${threads} threads, ${Math.ceil(memory / 1024)} KB of memory; ${description} says what is in it`,
    );
  if (result.error === undefined) return EXIT.done;
  note(`${file}: ${failed === undefined ? String(result.error) : describeReport(failed)}`);
  return failed?.exitCode ?? EXIT.failed;
}

interface Wanted {
  readonly at: string;
  readonly of: string | undefined;
  readonly seed: number | undefined;
}

/** Runs the scenario to its end; memory is copied when the event has happened, in the lab that told it. */
async function run(scenario: Scenario, file: string, { at, of, seed }: Wanted) {
  const labs: Lab[] = [];
  const kinds = new Set<string>();
  const isWanted = matcher(at);
  let capture: MemoryCapture | undefined;
  let failure: unknown;
  const take = (lab: Lab, event?: LabEvent) => {
    if (capture !== undefined || failure !== undefined) return;
    try {
      capture = captureOf(lab, of, { scenario: file, event });
    } catch (error) {
      failure = error;
    }
  };
  const onBoot = (lab: Lab) => {
    labs.push(lab);
    for (const event of lab.events) tell(lab, event);
    lab.kernel.events.on((event) => tell(lab, event));
  };
  const tell = (lab: Lab, event: LabEvent) => {
    kinds.add(event.kind);
    if (isWanted(event)) take(lab, event);
  };
  const body: Scenario['body'] = async (context) => {
    try {
      await scenario.body(context);
    } finally {
      const last = labs.at(-1);
      if (at === 'end' && last !== undefined) take(last);
    }
  };
  const options = { onBoot, ...(seed === undefined ? {} : { seed }) };
  const result = await runScenario({ ...scenario, body }, options);
  if (failure !== undefined) throw failure;
  return { capture, result, kinds };
}

/** `applied`, `applied#2`, or a part of an event's text. */
function matcher(at: string): (event: LabEvent) => boolean {
  if (at === 'end') return () => false;
  const [, name = at, count = '1'] = /^(.*?)(?:#([1-9][0-9]*))?$/.exec(at) ?? [];
  let seen = 0;
  return ({ kind, text }) => {
    if (kind !== name && !(name.length > 2 && !/^\w+$/.test(name) && text.includes(name))) return false;
    seen += 1;
    return seen === Number(count);
  };
}

function captureOf(lab: Lab, of: string | undefined, moment: Parameters<typeof captureKernel>[1]) {
  const { kernel } = lab;
  const processes = kernel.processes.filter(({ minimal }) => !minimal);
  if (of === 'kernel') return captureKernel(lab, moment);
  const withImages = (process: Process) => process.domain.images.length > 0;
  const chosen =
    of === undefined
      ? processes.find(withImages)
      : processes.find(({ name, id }) => name.toLowerCase() === of.toLowerCase() || `${id}` === of);
  if (chosen !== undefined) return captureProcess(lab, chosen, moment);
  if (of === undefined) return captureKernel(lab, moment);
  const there = processes.map(({ name, id }) => `${name} (${id})`).join(', ');
  throw new UsageError(
    `--of ${of}: there is no such process at that moment; there ${there === '' ? 'is kernel' : `are kernel, ${there}`}`,
  );
}
