import type { CampaignReport, CampaignTimings, Count } from './summary.js';

/** The report as one page that needs nothing else. */
export function campaignPage(report: CampaignReport): string {
  const { name, total, matrix, findings, timings } = report;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${text(name)}: campaign</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${text(name)}</h1>
<p>${number(total.done)} of ${number(total.units)} units are done, ${number(total.cases)} cases tried, <strong class="${total.findings === 0 ? 'good' : 'bad'}">${number(total.findings)} finding${total.findings === 1 ? '' : 's'}</strong>.</p>
<progress max="${total.units}" value="${total.done}">${percent(total)}</progress>
${timings === undefined ? '' : timingsText(timings, total)}
<h2>Coverage</h2>
${matrix.map(rowText).join('\n')}
<h2>Findings</h2>
${findings.length === 0 ? '<p>None.</p>' : findings.map(findingText).join('\n')}
</body>
</html>
`;
}

function rowText({ row, cells, counts }: CampaignReport['matrix'][number]): string {
  const head = cells.map(({ column }) => `<th scope="col">${text(column)}</th>`).join('');
  const body = cells
    .map((cell) => {
      const state = cell.findings > 0 ? 'bad' : cell.done === cell.units ? 'good' : 'open';
      return `<td class="${state}">${number(cell.cases)} cases<br>${number(cell.done)}/${number(cell.units)} units${cell.findings === 0 ? '' : `<br>${number(cell.findings)} finding(s)`}</td>`;
    })
    .join('');
  const outcomes = counts.map(({ what, times }) => `<li>${text(what)}: ${number(times)}</li>`).join('');
  return `<section>
<h3>${text(row)}</h3>
<div class="wide"><table><thead><tr>${head}</tr></thead><tbody><tr>${body}</tr></tbody></table></div>
<details><summary>What became of them</summary><ul class="counts">${outcomes}</ul></details>
</section>`;
}

function findingText(finding: CampaignReport['findings'][number]): string {
  const { id, rule, message, unit, inputs, row, column } = finding;
  const files = inputs.map(
    ({ name, size, sha256 }) => `${text(name)} (${number(size)} bytes, ${sha256.slice(0, 12)}…)`,
  );
  return `<section class="finding">
<h3><code>${id}</code> ${text(rule)}</h3>
<p>${text(message)}</p>
<p>${text(row)}, ${text(column)}${files.length === 0 ? '' : `; ${files.join(', ')}`}</p>
<pre>${text(JSON.stringify(unit))}</pre>
</section>`;
}

function timingsText({ seconds, elapsed, rates, workers }: CampaignTimings, { done }: Count): string {
  const rate = elapsed === 0 ? 0 : done / elapsed;
  const rows = rates.map(
    ({ row, casesPerSecond }) =>
      `<tr><th scope="row">${text(row)}</th><td>${casesPerSecond.toFixed(1)}</td></tr>`,
  );
  const by = workers.map(
    ({ worker, units, seconds: own }) =>
      `<tr><th scope="row">${text(worker)}</th><td>${number(units)}</td><td>${own.toFixed(1)} s</td></tr>`,
  );
  return `<section>
<p>${elapsed.toFixed(1)} s from the first unit to the last, ${seconds.toFixed(1)} s of processes, ${rate.toFixed(2)} units a second.</p>
<details><summary>Rates and workers</summary>
<table><thead><tr><th>work</th><th>cases in a second of one process</th></tr></thead><tbody>${rows.join('')}</tbody></table>
<table><thead><tr><th>worker</th><th>units</th><th>time</th></tr></thead><tbody>${by.join('')}</tbody></table>
</details>
</section>`;
}

const number = (value: number): string => value.toLocaleString('en-GB');
const percent = ({ done, units }: Count): string =>
  units === 0 ? '0 %' : `${Math.floor((100 * done) / units)} %`;

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
const text = (value: string): string => value.replace(/[&<>"]/g, (one) => ENTITIES[one] ?? one);

const STYLE = `
:root { color-scheme: light dark; --line: #8886; --good: #2a7d2a; --bad: #c0392b; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2, h3 { line-height: 1.2; }
h3 { margin: 1.2rem 0 .3rem; font-size: 1rem; }
progress { width: 100%; height: 1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .3rem 0; }
th, td { border: 1px solid var(--line); padding: .25rem .6rem; text-align: left; vertical-align: top; }
td.good { border-left: 4px solid var(--good); }
td.bad { border-left: 4px solid var(--bad); }
strong.good { color: var(--good); }
strong.bad { color: var(--bad); }
.counts { columns: 18rem; font-size: .9rem; }
.finding { border-left: 4px solid var(--bad); padding-left: 1rem; }
pre { overflow-x: auto; font-size: .85rem; }
@media (prefers-color-scheme: dark) { :root { --good: #6fcf6f; --bad: #ff7b6b; } }
`;
