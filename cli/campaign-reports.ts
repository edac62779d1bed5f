import type { CampaignReport } from '../campaign/index.js';
import { writeOutput } from './files.js';
import { attributes, escapeXml } from './junit.js';
import { colours, print } from './output.js';
import { type SarifFinding, sarifLog, writeSarif } from './sarif.js';

export function printCampaign({ name, total, matrix, findings, timings }: CampaignReport): void {
  print(colours.bold(name));
  for (const { row, cells } of matrix) {
    print(row);
    for (const { column, done, units, cases, findings: found } of cells)
      print(
        `  ${column.padEnd(16)} ${done} of ${units} units, ${cases} cases${found === 0 ? '' : colours.red(`, ${found} finding(s)`)}`,
      );
  }
  for (const { id, rule, message } of findings) print(`${colours.red(id)} ${rule}: ${message}`);
  const found =
    total.findings === 0 ? colours.green('no finding') : colours.red(`${total.findings} finding(s)`);
  const time = timings === undefined ? '' : `, ${timings.elapsed.toFixed(1)} s`;
  print(`${total.done} of ${total.units} units, ${total.cases} cases${time}: ${found}`);
}

/** A suite for each row of the matrix, a test case for each cell; a cell that is not done is skipped. */
export function writeCampaignJunit(file: string, { name, matrix, findings, timings }: CampaignReport): void {
  const seconds = timings === undefined ? {} : { time: timings.seconds.toFixed(3) };
  const cells = matrix.flatMap((row) => row.cells);
  const counts = {
    tests: cells.length,
    failures: cells.filter((cell) => cell.findings > 0).length,
    ...seconds,
  };
  const lines = [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites${attributes({ name: `hotpatch campaign ${name}`, ...counts })}>`,
    ...matrix.flatMap(({ row, cells: own, counts: became }) => {
      const failures = own.filter((cell) => cell.findings > 0).length;
      const skipped = own.filter((cell) => cell.done < cell.units).length;
      return [
        `  <testsuite${attributes({ name: row, tests: own.length, failures, skipped })}>`,
        ...own.flatMap((cell) => {
          const found = findings.filter((one) => one.row === row && one.column === cell.column);
          return [
            `    <testcase${attributes({ name: cell.column, classname: row, assertions: cell.cases })}>`,
            ...(found.length === 0
              ? cell.done < cell.units
                ? [
                    `      <skipped${attributes({ message: `${cell.done} of ${cell.units} units are done` })}/>`,
                  ]
                : []
              : [
                  `      <failure${attributes({ message: found[0]?.message ?? '', type: found[0]?.rule ?? '' })}>${escapeXml(found.map(({ id, rule, message }) => `${id} ${rule}: ${message}`).join('\n'))}</failure>`,
                ]),
            '    </testcase>',
          ];
        }),
        `    <system-out>${escapeXml(became.map(({ what, times }) => `${what}: ${times}`).join('\n'))}</system-out>`,
        '  </testsuite>',
      ];
    }),
    '</testsuites>',
  ];
  writeOutput(file, `${lines.join('\n')}\n`);
}

/** A result for each finding; its rule is the finding's, and its fingerprint the finding's name. */
export function writeCampaignSarif(file: string, { findings }: CampaignReport, results: string): void {
  const rules = [...new Set(findings.map(({ rule }) => rule))].map((id) => ({
    id,
    description: `a unit of a campaign has found ${id}`,
    help: 'hotpatch campaign case RESULTS FINDING makes a test of it',
    level: 'error' as const,
  }));
  const found = findings.map(
    ({ id, rule, message, row, column }): SarifFinding => ({
      rule,
      level: 'error',
      message,
      file: results,
      place: `${row}, ${column}`,
      fingerprint: id,
    }),
  );
  writeSarif(file, sarifLog('campaign', rules, found, []));
}
