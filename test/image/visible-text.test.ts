import { describe, expect, it } from 'vitest';
import { visibleJson, visibleText } from '../../image/index.js';

describe('a name on its way to a terminal', () => {
  it.each([
    ['clears no screen', '\x1b[2J', '\\x1b[2J'],
    ['sets no title', '\x1b]0;owned\x07', '\\x1b]0;owned\\x07'],
    ['uses no sequence of eight bits', '\x9b31m', '\\x9b31m'],
    ['overwrites no line', 'good\rbad\b', 'good\\x0dbad\\x08'],
    ['turns no text round', 'a\u202eb', 'a\\u202eb'],
    ['keeps lines, tabs and other letters', 'é\t漢\r\nz', 'é\t漢\r\nz'],
  ])('%s', (_what, text, shown) => {
    expect(visibleText(text)).toBe(shown);
  });

  it('is the same value in JSON', () => {
    const value = { name: '\x1b[2J\x9b\u202e\x7f' };
    const json = visibleJson(JSON.stringify(value));
    expect(json).toBe('{"name":"\\u001b[2J\\u009b\\u202e\\u007f"}');
    expect(JSON.parse(json)).toEqual(value);
  });
});
