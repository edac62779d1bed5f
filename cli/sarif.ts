import { createHash } from 'node:crypto';
import { basename, isAbsolute, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Log, ReportingDescriptor, Result } from 'sarif';
import type { NtStatus, PeImage } from '../image/index.js';
import { writeOutput } from './files.js';
import { packageVersion } from './version.js';

/** One rule of a log: what it demands, and what to do when it is not kept. */
export interface SarifRule {
  readonly id: string;
  readonly description: string;
  readonly help: string;
  readonly level: 'error' | 'warning';
  /** May be switched off by `--allow`. */
  readonly isOverridable?: boolean;
}

/** One finding, before it becomes a SARIF result. */
export interface SarifFinding {
  readonly rule: string;
  readonly level: 'error' | 'warning';
  readonly message: string;
  /** Undefined: the file is none. */
  readonly image?: PeImage;
  /** Path as the user wrote it. */
  readonly file: string;
  /** `hotpatch table, base 0, chunk 2, record 5` */
  readonly place?: string;
  readonly rva?: number;
  /** Bytes at `rva`. */
  readonly length?: number;
  /** Function or variable, bare. */
  readonly symbol?: string;
  readonly symbolKind?: 'function' | 'variable';
  readonly status?: NtStatus;
  /** What makes it the same finding in another run. */
  readonly fingerprint?: string;
}

const SCHEMA = 'https://json.schemastore.org/sarif-2.1.0.json';

/** The log of one run of `hotpatch check` or `hotpatch verify`, SARIF 2.1.0. */
export function sarifLog(
  command: string,
  rules: readonly SarifRule[],
  findings: readonly SarifFinding[],
  images: readonly { readonly file: string; readonly image: PeImage }[],
): Log {
  const index = new Map(rules.map(({ id }, position) => [id, position]));
  const isError = findings.some(({ level }) => level === 'error');
  return {
    $schema: SCHEMA,
    version: '2.1.0',
    runs: [
      {
        tool: {
          driver: {
            name: 'hotpatch-lab',
            semanticVersion: packageVersion(),
            rules: rules.map(descriptor),
          },
        },
        automationDetails: { id: `hotpatch ${command}/` },
        invocations: [{ executionSuccessful: true, exitCode: isError ? 1 : 0 }],
        artifacts: images.map(({ file, image }) => ({
          location: { uri: uriOf(file) },
          length: image.bytes.length,
          hashes: { 'sha-256': createHash('sha256').update(image.bytes).digest('hex') },
        })),
        results: findings.map((finding) => resultOf(finding, index.get(finding.rule) ?? -1)),
      },
    ],
  };
}

export function writeSarif(file: string, log: Log): void {
  writeOutput(file, `${JSON.stringify(log, null, 2)}\n`);
}

function descriptor({ id, description, help, level, isOverridable }: SarifRule): ReportingDescriptor {
  return {
    id,
    shortDescription: { text: description },
    help: { text: help },
    defaultConfiguration: { level },
    ...(isOverridable === undefined ? {} : { properties: { isOverridable } }),
  };
}

function resultOf(finding: SarifFinding, ruleIndex: number): Result {
  const { rule, level, message, image, file, place, rva, length, symbol, symbolKind, status, fingerprint } =
    finding;
  const offset = rva === undefined ? undefined : image?.rvaToOffset(rva);
  const module = basename(file).replace(/\.[^.]*$/, '');
  return {
    ruleId: rule,
    ruleIndex,
    level,
    message: { text: message },
    ...(fingerprint === undefined ? {} : { fingerprints: { 'hotpatch-lab/v1': fingerprint } }),
    locations: [
      {
        physicalLocation: {
          artifactLocation: { uri: uriOf(file) },
          ...(offset === undefined ? {} : { region: { byteOffset: offset, byteLength: length ?? 1 } }),
          ...(rva === undefined ? {} : { address: { relativeAddress: rva, kind: symbolKind ?? 'data' } }),
        },
        logicalLocations: [
          symbol === undefined
            ? { name: place ?? module, kind: place === undefined ? 'module' : 'element' }
            : { name: symbol, fullyQualifiedName: `${module}!${symbol}`, kind: symbolKind ?? 'member' },
        ],
      },
    ],
    properties: {
      ...(rva === undefined ? {} : { rva: `0x${rva.toString(16)}` }),
      ...(place === undefined ? {} : { place }),
      ...(status === undefined
        ? {}
        : {
            ntstatus: { name: status.name, value: `0x${status.value.toString(16).padStart(8, '0')}` },
          }),
    },
  };
}

/** Relative to the folder that the command ran in, unless the path is absolute. */
function uriOf(file: string): string {
  if (isAbsolute(file)) return pathToFileURL(file).href;
  return file.split(sep).map(encodeURIComponent).join('/');
}
