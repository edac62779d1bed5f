export type CampaignRule =
  /** The plan cannot be read, or says what no kind of work takes. */
  | 'plan.value'
  /** A file that a plan names is not there. */
  | 'plan.file'
  /** The file is none that a campaign has written. */
  | 'results.format'
  /** The file holds the results of a campaign of another name. */
  | 'results.campaign'
  /** There is no finding of this name. */
  | 'results.finding'
  /** Neither Node's own SQLite nor better-sqlite3 is here. */
  | 'sqlite.missing'
  /** A package that only queues need is not installed. */
  | 'queue.missing'
  /** No server answers at the queue's address. */
  | 'queue.unreachable'
  /** What is in the queue is no unit that this version can do. */
  | 'unit.value'
  /** A file that a unit needs is neither in the queue nor in the shared folder. */
  | 'file.missing'
  /** A tool that a unit needs is not on this machine. */
  | 'tool.missing';

/** A campaign cannot be run as it is asked for: the user, or the machine, must be changed. Never a finding. */
export class CampaignError extends Error {
  override readonly name = 'CampaignError';
  readonly rule: CampaignRule;
  /** `work[2].count` of a plan, or a file. */
  readonly place: string | undefined;
  readonly hint: string | undefined;

  constructor(
    rule: CampaignRule,
    message: string,
    {
      place,
      hint,
      cause,
    }: { readonly place?: string; readonly hint?: string; readonly cause?: unknown } = {},
  ) {
    super(`${place === undefined ? '' : `${place}: `}${message}`, cause === undefined ? {} : { cause });
    this.rule = rule;
    this.place = place;
    this.hint = hint;
  }
}
