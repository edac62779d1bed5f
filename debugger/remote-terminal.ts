import type { BlockingEnd } from './channel.js';
import type { Terminal } from './prompt.js';

/** To the thread of the debuggee. */
export type TerminalInput =
  | { readonly kind: 'line'; readonly text: string }
  | { readonly kind: 'complete'; readonly line: string };

/** From it. */
export type TerminalOutput =
  | { readonly kind: 'write'; readonly text: string }
  | { readonly kind: 'read'; readonly prompt: string }
  | { readonly kind: 'completions'; readonly candidates: readonly string[] };

/** A terminal that is in another thread. */
export class RemoteTerminal implements Terminal {
  constructor(private readonly channel: BlockingEnd<TerminalInput, TerminalOutput>) {}

  readLine(prompt: string, complete: (line: string) => readonly string[]): string {
    this.channel.send({ kind: 'read', prompt });
    for (;;) {
      const input = this.channel.receive();
      if (input.kind === 'line') return input.text;
      this.channel.send({ kind: 'completions', candidates: complete(input.line) });
    }
  }

  write(text: string): void {
    this.channel.send({ kind: 'write', text });
  }

  interrupted(): boolean {
    return this.channel.interrupted();
  }
}
