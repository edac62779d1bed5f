import { Command, Option } from 'commander';
import { type ArchitectureName, instructionFacts, loadDisassembler } from '../cpu/index.js';
import {
  type CheckFinding,
  type CheckReport,
  checkImage,
  type FunctionCheck,
  findSymbols,
  type InstructionDecoder,
  type PeImage,
  readImage,
  type SymbolsOrigin,
} from '../image/index.js';
import { notePassedOver } from './build.js';
import { assertOutput, noteInput, readInput } from './files.js';
import { hex8, table } from './layout.js';
import { colours, EXIT, print, printJson } from './output.js';
import type { HotPatchGeneration } from './patcher.js';
import { Progress } from './progress.js';
import { writeSarif } from './sarif.js';
import { checkSarif } from './sarif-findings.js';

interface CheckFlags {
  readonly symbols?: string;
  readonly all?: boolean;
  readonly generation: HotPatchGeneration;
  readonly sarif?: string;
  readonly json?: boolean;
}

export function checkCommand(): Command {
  return new Command('check')
    .description('Is this image ready to be hotpatched? Lists each function that cannot be patched, and why.')
    .argument('<image>', 'a driver, DLL or program')
    .option('--symbols <file>', 'PDB or map of the image; default: what lies beside it')
    .option('--all', 'list the functions that can be patched too')
    .addOption(
      new Option('--generation <name>', 'whose hotpatches it is to carry')
        .choices(['modern', '2003'])
        .default('modern'),
    )
    .option('--sarif <file>', 'also write the findings as SARIF 2.1.0')
    .option('--json', 'one JSON document on stdout')
    .addHelpText('after', '\nExample:\n  hotpatch check demo.dll --symbols demo.pdb')
    .action(async (path: string, flags: CheckFlags) => {
      if (flags.sarif !== undefined) assertOutput(flags.sarif, [path, flags.symbols]);
      const image = readImage(readInput(path), { file: path });
      const { report, origin } = await examine(image, path, flags);
      notePassedOver(origin);
      if (flags.sarif !== undefined) writeSarif(flags.sarif, checkSarif(path, image, report));
      if (flags.json) printJson(jsonOf(path, report, origin));
      else printReport(path, report, origin, flags.all ?? false);
      if (!report.ready) process.exitCode = EXIT.failed;
    });
}

async function examine(
  image: PeImage,
  path: string,
  { symbols: symbolsFile, generation }: CheckFlags,
): Promise<{ readonly report: CheckReport; readonly origin: SymbolsOrigin }> {
  using progress = new Progress();
  progress.begin('reading symbols');
  const symbols = findSymbols({ image, path }, { symbolsFile });
  noteInput(symbols.origin.file);
  progress.begin('looking for functions');
  const report = checkImage(image, symbols, await decoderFor(image.architecture, progress), {
    generation,
  });
  return { report, origin: symbols.origin };
}

async function decoderFor(architecture: ArchitectureName, progress: Progress): Promise<InstructionDecoder> {
  const disassemble = await loadDisassembler();
  let decoded = 0;
  return {
    facts: (bytes, address) => {
      if ((++decoded & 0xfff) === 0) progress.show(`${decoded} instructions read`);
      return instructionFacts(architecture, bytes, address);
    },
    text: (bytes, address) => disassemble(architecture, bytes, address, { count: 1 })[0]?.text ?? '',
  };
}

function jsonOf(path: string, report: CheckReport, origin: SymbolsOrigin): object {
  return {
    image: path,
    architecture: report.architecture,
    generation: report.generation,
    ready: report.ready,
    symbols: { kind: origin.kind, ...(origin.file === undefined ? {} : { file: origin.file }) },
    findings: report.findings,
    functions: report.functions.map(({ firstInstruction, ...check }) => ({
      ...check,
      firstInstruction: { ...firstInstruction, bytes: bytesText(firstInstruction.bytes) },
    })),
  };
}

function printReport(path: string, report: CheckReport, origin: SymbolsOrigin, all: boolean): void {
  const bad = report.functions.filter(({ patchable }) => !patchable);
  const from = origin.file === undefined ? origin.kind : `${origin.kind} ${origin.file}`;
  const generation = report.generation === '2003' ? ', generation 2003' : '';
  print(
    colours.bold(
      `${path}: ${report.architecture}${generation}, ${report.functions.length} functions (${from})`,
    ),
  );
  for (const finding of report.findings) print(findingLine(finding));
  const listed = report.functions.filter(({ reasons }) => all || reasons.length > 0);
  if (listed.length > 0) {
    print('');
    for (const line of functionTable(listed)) print(line);
  }
  print('');
  print(
    report.ready
      ? colours.green(`ready: every function can be patched`)
      : colours.red(
          `not ready: ${bad.length} of ${report.functions.length} functions cannot be patched, ${errors(report.findings)} about the image`,
        ),
  );
  for (const advice of adviceOf(report)) print(`  ${advice}`);
}

/** C++ names of templates can be longer than any line; JSON has them whole. */
const NAME_LIMIT = 48;

function functionTable(functions: readonly FunctionCheck[]): string[] {
  return table(
    ['RVA', 'pad', 'first instruction', 'function', ''],
    functions.map(({ rva, padding, firstInstruction, name, reasons }) => [
      hex8(rva),
      `${padding}`,
      `${bytesText(firstInstruction.bytes).slice(0, 20).padEnd(20)} ${firstInstruction.text}`,
      name.length > NAME_LIMIT ? `${name.slice(0, NAME_LIMIT - 1)}…` : name,
      reasons.map(({ severity, message }) => `${severity}: ${message}`).join('; ') || 'ok',
    ]),
    [1],
  );
}

function findingLine({ severity, message, rule }: CheckFinding): string {
  const paint = severity === 'error' ? colours.red : colours.yellow;
  return `  ${paint(severity)}: ${message} (${rule})`;
}

function errors(findings: readonly CheckFinding[]): string {
  const count = findings.filter(({ severity }) => severity === 'error').length;
  return `${count} error${count === 1 ? '' : 's'}`;
}

/** What to change in the build, each piece of advice once. */
function adviceOf(report: CheckReport): string[] {
  const all = [...report.findings, ...report.functions.flatMap(({ reasons }) => reasons)];
  return [
    ...new Set(
      all.filter(({ severity }) => severity === 'error').map(({ rule, advice }) => `${rule}: ${advice}`),
    ),
  ];
}

function bytesText(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
