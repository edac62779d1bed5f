/**
 * Control characters except tab and line feed, those of ISO 6429's second set, and those that change the direction of
 * text: a terminal obeys them, wherever they come from.
 */
const OBEYED = /(?![\t\n]|\r\n)[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}\ufeff]/gu;

/**
 * Text that may hold names from an image, a PDB or a guest, such that a terminal shows it and does nothing else:
 * `\\x1b[2J` for the sequence that clears the screen, `\\u202e` for an override of direction.
 */
export function visibleText(text: string): string {
  return text.replace(OBEYED, (character) => {
    const code = character.charCodeAt(0);
    return code < 0x100
      ? `\\x${code.toString(16).padStart(2, '0')}`
      : `\\u${code.toString(16).padStart(4, '0')}`;
  });
}

/** JSON of the same value in which nothing is left that a terminal obeys. */
export function visibleJson(json: string): string {
  return json.replace(OBEYED, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
