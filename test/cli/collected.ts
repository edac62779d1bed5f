import { Writable } from 'node:stream';
import { printTo } from '../../cli/output.js';

export interface Collected extends Disposable {
  readonly stdout: string;
  readonly stderr: string;
}

/** What commands print from now on, until it is disposed of. */
export function collectOutput(): Collected {
  const texts = { stdout: '', stderr: '' };
  const into = (name: keyof typeof texts) =>
    new Writable({
      decodeStrings: false,
      write(text, _encoding, done) {
        texts[name] += String(text);
        done();
      },
    });
  const printing = printTo({ stdout: into('stdout'), stderr: into('stderr') });
  return {
    get stdout() {
      return texts.stdout;
    },
    get stderr() {
      return texts.stderr;
    },
    [Symbol.dispose]: () => printing[Symbol.dispose](),
  };
}
