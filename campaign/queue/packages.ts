import { CampaignError } from '../error.js';

/** What is used of an ioredis connection. */
export interface Connection {
  connect(): Promise<void>;
  disconnect(): void;
  duplicate(options: { readonly lazyConnect: boolean }): Connection;
  on(event: 'error', listener: (error: Error) => void): unknown;
  set(key: string, value: Buffer): Promise<unknown>;
  getBuffer(key: string): Promise<Buffer | null>;
  del(key: string): Promise<unknown>;
}

interface ConnectionOptions {
  readonly lazyConnect: boolean;
  /** Milliseconds. */
  readonly connectTimeout: number;
  readonly maxRetriesPerRequest: null;
  readonly retryStrategy: (times: number) => number;
}

interface IoredisPackage {
  readonly Redis: new (url: string, options: ConnectionOptions) => Connection;
}

/** What is used of a job of BullMQ. */
export interface Job<Data, Result> {
  readonly id?: string;
  readonly data: Data;
  readonly returnvalue: Result;
  readonly failedReason?: string;
  remove(): Promise<void>;
}

export interface NewJob<Data> {
  readonly name: string;
  readonly data: Data;
  readonly opts: {
    /** A queue takes a job of one name once. */
    readonly jobId: string;
    readonly attempts: number;
    /** `delay` in milliseconds. */
    readonly backoff: { readonly type: 'exponential'; readonly delay: number };
  };
}

export type JobState = 'waiting' | 'active' | 'delayed' | 'completed';

/** What is used of a queue of BullMQ. */
export interface Queue<Data, Result> {
  on(event: 'error', listener: (error: Error) => void): unknown;
  addBulk(jobs: readonly NewJob<Data>[]): Promise<unknown>;
  getCompleted(start: number, end: number): Promise<Job<Data, Result>[]>;
  getFailed(start: number, end: number): Promise<Job<Data, Result>[]>;
  getJobCounts(...states: readonly JobState[]): Promise<Readonly<Partial<Record<JobState, number>>>>;
  close(): Promise<void>;
}

interface WorkerOptions {
  readonly connection: Connection;
  readonly concurrency: number;
  /** Milliseconds. */
  readonly lockDuration: number;
  readonly stalledInterval: number;
  readonly maxStalledCount: number;
}

interface Worker {
  on(event: 'error', listener: (error: Error) => void): unknown;
  close(): Promise<void>;
}

export interface BullmqPackage {
  readonly Queue: new <Data, Result>(
    name: string,
    options: { readonly connection: Connection },
  ) => Queue<Data, Result>;
  readonly Worker: new <Data, Result>(
    name: string,
    perform: (job: Pick<Job<Data, Result>, 'data'>) => Promise<Result>,
    options: WorkerOptions,
  ) => Worker;
}

export const loadIoredis = (): Promise<IoredisPackage> => load('ioredis');
export const loadBullmq = (): Promise<BullmqPackage> => load('bullmq');

/** Packages that only queues need are loaded when there is one. */
async function load<T>(name: string): Promise<T> {
  try {
    return (await import(name)) as T;
  } catch (error) {
    throw new CampaignError('queue.missing', `the package ${name} cannot be loaded`, {
      hint: 'npm install bullmq ioredis',
      cause: error,
    });
  }
}
